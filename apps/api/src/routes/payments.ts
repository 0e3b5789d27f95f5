import { randomUUID } from "node:crypto";
import { Problem } from "../http/problem.ts";
import type { Route } from "../http/router.ts";

// What card networks call the largest amount of one charge: eight digits of cents.
const MOST_CENTS = 99_999_999;

/** Stands so that the edge's protection of payments can be built and proved. No payment provider is called yet. */
export function paymentRoutes(paymentSecretKey: string | undefined): Route[] {
  // The key itself goes no further than this line: what a handler cannot see it cannot leak.
  const configured = paymentSecretKey !== undefined;

  return [
    {
      method: "POST",
      path: "/payments/intents",
      handler: async (exchange) => {
        if (!configured) throw new Problem(503, "payments are not configured");
        const { amount_cents, currency } = await exchange.json();
        if (
          typeof amount_cents !== "number" ||
          !Number.isInteger(amount_cents) ||
          amount_cents < 1 ||
          amount_cents > MOST_CENTS
        ) {
          throw new Problem(400, `amount_cents must be a whole number from 1 to ${MOST_CENTS}`);
        }
        if (currency !== "EUR") throw new Problem(400, 'currency must be "EUR"');
        exchange.reply(202, { id: `pi_${randomUUID()}`, status: "requires_confirmation" });
      },
    },
  ];
}
