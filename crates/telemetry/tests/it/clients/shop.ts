// A page's code as a bundler makes it small; where it fails is known by its source map alone.
import * as Sentry from "@sentry/node";

function chargeTheCart(order: number): number {
  if (order > 4000) {
    throw new TypeError(`no amount for order ${order}`);
  }
  return order;
}

export function checkOut(order: number): number {
  return chargeTheCart(order) + chargeTheCart(order + 1);
}

Sentry.init({ dsn: process.env.SENTRY_DSN, release: process.env.SHOP_RELEASE });
Sentry.setTag("request_id", process.env.SHOP_REQUEST);
try {
  console.log(checkOut(4711), checkOut(1));
} catch (error) {
  Sentry.captureException(error);
}
void Sentry.close(5_000).then((sent) => process.exit(sent ? 0 : 1));
