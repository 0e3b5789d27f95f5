import { createHash, randomUUID } from "node:crypto";
import type { JsonObject } from "../http/body.ts";
import { Problem } from "../http/problem.ts";
import type { Route } from "../http/router.ts";
import { type Catalogue, type Line, MOST_LINES, MOST_OF_ONE, type Order, type Orders } from "../shop.ts";

export function orderRoutes(orders: Orders, catalogue: Catalogue): Route[] {
  return [
    {
      method: "POST",
      path: "/orders",
      handler: async (exchange) => {
        const key = idempotencyKey(exchange.header("idempotency-key"));
        const lines = linesOf(await exchange.json());
        const order = await priced(lines, catalogue);
        const placement = await orders.place(
          order,
          key === undefined ? undefined : { key, fingerprint: fingerprint(lines) },
        );

        switch (placement.outcome) {
          case "placed":
            return exchange.reply(201, placement.order, { location: `/orders/${placement.order.id}` });
          case "replayed":
            // The same answer as the first time: whoever retries cannot know that it went through.
            return exchange.reply(201, placement.order, {
              location: `/orders/${placement.order.id}`,
              "idempotency-replayed": "true",
            });
          case "key_reused":
            throw new Problem(422, "this idempotency-key was used for a different order");
        }
      },
    },
    {
      method: "GET",
      path: "/orders/:id",
      handler: async (exchange) => {
        // The id is 122 random bits: who has it was given it. An order names no person.
        const order = await orders.find(exchange.param("id"));
        if (order === undefined) throw new Problem(404, "there is no such order");
        exchange.reply(200, order);
      },
    },
  ];
}

function idempotencyKey(header: string | undefined): string | undefined {
  if (header !== undefined && !/^[\x21-\x7e]{1,128}$/.test(header)) {
    throw new Problem(400, "idempotency-key must be 1 to 128 visible ASCII characters");
  }
  return header;
}

/** The lines of `{"items":[{"slug":"enamel-mug","quantity":2}]}`, sorted by slug so that equal orders look equal. */
function linesOf(body: JsonObject): Line[] {
  const items = body.items;
  if (!Array.isArray(items) || items.length === 0 || items.length > MOST_LINES) {
    throw new Problem(400, `items must be a list of 1 to ${MOST_LINES} lines`);
  }
  const lines = items.map((item: unknown): Line => {
    const { slug, quantity } = (item ?? {}) as Partial<Record<string, unknown>>;
    if (typeof slug !== "string" || slug === "") throw new Problem(400, "each item needs a slug");
    if (typeof quantity !== "number" || !Number.isInteger(quantity) || quantity < 1 || quantity > MOST_OF_ONE) {
      throw new Problem(400, `each item needs a quantity from 1 to ${MOST_OF_ONE}`);
    }
    return { slug, quantity };
  });
  if (new Set(lines.map((line) => line.slug)).size < lines.length) {
    throw new Problem(400, "each product may appear in one item only");
  }
  return lines.sort((left, right) => (left.slug < right.slug ? -1 : 1));
}

/** Prices come from the catalogue, never from the customer, and are kept with the order: tomorrow's price is not what was agreed. */
async function priced(lines: Line[], catalogue: Catalogue): Promise<Order> {
  const products = new Map(
    (await catalogue.findAll(lines.map((line) => line.slug))).map((product) => [product.slug, product]),
  );
  const pricedLines = lines.map((line) => {
    const product = products.get(line.slug);
    if (product === undefined) throw new Problem(422, `there is no product "${line.slug}"`);
    return { ...line, name: product.name, price_cents: product.price_cents };
  });
  return {
    id: randomUUID(),
    created_at: new Date().toISOString(),
    lines: pricedLines,
    total_cents: pricedLines.reduce((sum, line) => sum + line.quantity * line.price_cents, 0),
    currency: "EUR",
  };
}

function fingerprint(lines: Line[]): string {
  return createHash("sha256").update(JSON.stringify(lines)).digest("base64url");
}
