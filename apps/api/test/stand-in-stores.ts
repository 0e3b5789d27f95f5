/** Stores that forget. They keep the promises written in shop.ts, and nothing more. */
import {
  type CartChanges,
  type Carts,
  type Catalogue,
  type Idempotency,
  MOST_CHANGES,
  type Order,
  type Orders,
  type Pictures,
  type Product,
} from "../src/shop.ts";

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
    setPicture: async (slug, key) => {
      for (const product of products.filter((product) => product.slug === slug)) product.picture = key;
    },
  };
}

/** Of what was offered, those whose type is PNG were sent and are pictures. */
export function picturesThatWereSent(): Pictures & { removed: string[] } {
  const sent = new Set<string>();
  const removed: string[] = [];
  let count = 0;
  return {
    removed,
    offer: async (slug, type, bytes) => {
      count += 1;
      const key = `products/${slug}/${count.toString(16).padStart(32, "0")}`;
      if (type === "image/png") sent.add(key);
      return { key, url: `https://objects.shop.example/${key}?bytes=${bytes}`, headers: { "content-type": type } };
    },
    isPicture: async (key) => sent.has(key),
    remove: async (key) => {
      removed.push(key);
    },
    urlOf: (key) => `https://media.shop.example/bucket/${key}`,
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

export function countedChanges(): CartChanges {
  const counts = new Map<string, number>();
  return {
    take: async (session) => {
      const taken = (counts.get(session) ?? 0) + 1;
      counts.set(session, taken);
      return taken > MOST_CHANGES ? 7 : undefined;
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
