/** Stores that forget. They keep the promises written in shop.ts, and nothing more. */
import type { Carts, Catalogue, Idempotency, Order, Orders, Product } from "../src/shop.ts";

export const MUG: Product = {
  slug: "enamel-mug",
  name: "Enamel Mug",
  summary: "Chips with grace.",
  description: "Steel under enamel.",
  category: "Kitchen",
  price_cents: 1450,
  currency: "EUR",
};

export function catalogueOf(...products: Product[]): Catalogue {
  return {
    list: async () => products,
    find: async (slug) => products.find((product) => product.slug === slug),
    findAll: async (slugs) => products.filter((product) => slugs.includes(product.slug)),
  };
}

export function emptyCarts(): Carts {
  const carts = new Map<string, Map<string, number>>();
  return {
    read: async (session) => [...(carts.get(session) ?? [])].map(([slug, quantity]) => ({ slug, quantity })),
    put: async (session, { slug, quantity }) => {
      const cart = carts.get(session) ?? new Map();
      if (quantity === 0) cart.delete(slug);
      else cart.set(slug, quantity);
      carts.set(session, cart);
    },
    clear: async (session) => {
      carts.delete(session);
    },
  };
}

export function noOrders(): Orders {
  const orders = new Map<string, Order>();
  const keys = new Map<string, Idempotency & { id: string }>();
  return {
    place: async (order, idempotency) => {
      const first = idempotency && keys.get(idempotency.key);
      const replayed = first && orders.get(first.id);
      if (replayed) {
        return first.fingerprint === idempotency.fingerprint
          ? { outcome: "replayed", order: replayed }
          : { outcome: "key_reused" };
      }
      orders.set(order.id, order);
      if (idempotency) keys.set(idempotency.key, { ...idempotency, id: order.id });
      return { outcome: "placed", order };
    },
    find: async (id) => orders.get(id),
  };
}
