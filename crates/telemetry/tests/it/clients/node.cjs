// An app that has its address and nothing else.
const Sentry = require("@sentry/node");

Sentry.init({ dsn: process.env.SENTRY_DSN, release: "shop@1.2.3" });
Sentry.setTag("request_id", "req-node");
function pay(order) {
  throw new TypeError(`no amount for order ${order}`);
}
try {
  pay(4711);
} catch (error) {
  Sentry.captureException(error);
}
Sentry.captureMessage("said by node");
Sentry.close(5_000).then((sent) => process.exit(sent ? 0 : 1));
