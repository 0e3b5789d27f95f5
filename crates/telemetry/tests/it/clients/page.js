// A page that has its address and nothing else. What it throws nobody catches.
import * as Sentry from "@sentry/react";

Sentry.init({ dsn: window.SENTRY_DSN, release: "shop@1.2.3" });
Sentry.setTag("request_id", "req-page");
function show(product) {
  return product.price.amount;
}
setTimeout(() => show({}), 10);
