/** Which other origins may call us from a browser, with the visitor's cookies? */

const ALLOWED_HEADERS = "authorization, content-type, idempotency-key, x-request-id";
// Ten minutes: long enough to spare a shopper the second preflight, short enough to change our mind.
const PREFLIGHT_MAX_AGE_SECONDS = "600";

/** Headers for any answer. An origin that is not listed gets none of the permissions, and its browser refuses the rest. */
export function corsHeaders(allowed: string[], origin: string | undefined): Record<string, string> {
  const headers: Record<string, string> = { vary: "Origin" };
  if (origin !== undefined && allowed.includes(origin)) {
    headers["access-control-allow-origin"] = origin;
    headers["access-control-allow-credentials"] = "true";
    headers["access-control-expose-headers"] = "x-request-id, idempotency-replayed, retry-after";
  }
  return headers;
}

/** Headers for the answer to OPTIONS, on top of the above. */
export function preflightHeaders(methods: string[]): Record<string, string> {
  return {
    allow: [...methods, "OPTIONS"].join(", "),
    "access-control-allow-methods": methods.join(", "),
    "access-control-allow-headers": ALLOWED_HEADERS,
    "access-control-max-age": PREFLIGHT_MAX_AGE_SECONDS,
  };
}
