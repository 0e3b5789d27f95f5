import type { Exchange } from "../http/exchange.ts";
import { Problem } from "../http/problem.ts";
import type { Route } from "../http/router.ts";
import { newSession, sessionCookie, sessionFrom } from "../http/session.ts";
import { type CartChanges, type Carts, type Catalogue, type Line, MOST_LINES, MOST_OF_ONE } from "../shop.ts";

export function cartRoutes(
  { carts, changes }: { carts: Carts; changes: CartChanges },
  catalogue: Catalogue,
  sessionKeys: readonly string[],
): Route[] {
  const sessionOf = (exchange: Exchange) => sessionFrom(exchange.header("cookie"), sessionKeys);

  return [
    {
      method: "GET",
      path: "/cart",
      handler: async (exchange) => {
        const session = sessionOf(exchange);
        // Looking is not shopping: only a put earns a cookie and a key in Redis.
        exchange.reply(200, cartBody(session === undefined ? [] : await carts.read(session)));
      },
    },
    {
      method: "PUT",
      path: "/cart/items/:slug",
      handler: async (exchange) => {
        const slug = exchange.param("slug");
        const { quantity } = await exchange.json();
        if (!isQuantity(quantity)) throw new Problem(400, `quantity must be a whole number from 0 to ${MOST_OF_ONE}`);
        if ((await catalogue.find(slug)) === undefined) throw new Problem(404, `there is no product "${slug}"`);

        const session = sessionOf(exchange) ?? newSession();
        const wait = await changes.take(session);
        if (wait !== undefined) {
          throw new Problem(429, "this cart changes too often", { "retry-after": String(wait) });
        }
        const lines = await carts.read(session);
        const isNew = !lines.some((line) => line.slug === slug);
        if (isNew && quantity > 0 && lines.length >= MOST_LINES) {
          throw new Problem(422, `a cart holds at most ${MOST_LINES} different products`);
        }
        await carts.put(session, { slug, quantity });
        // Sent with every put: the cookie must live as long as the cart, whose time starts again too.
        exchange.reply(200, cartBody(await carts.read(session)), {
          "set-cookie": sessionCookie(session, sessionKeys),
        });
      },
    },
    {
      method: "DELETE",
      path: "/cart",
      handler: async (exchange) => {
        const session = sessionOf(exchange);
        if (session !== undefined) await carts.clear(session);
        exchange.reply(200, cartBody([]));
      },
    },
  ];
}

function cartBody(items: Line[]): { items: Line[]; count: number } {
  return { items, count: items.reduce((sum, item) => sum + item.quantity, 0) };
}

function isQuantity(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= MOST_OF_ONE;
}
