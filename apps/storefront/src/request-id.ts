/** The name under which one request is found again in every log. */

export const REQUEST_ID = "x-request-id";

/** The edge always sets the header. A stranger may too, so only a tame value is believed; it ends up in logs and headers. */
export function requestIdFrom(header: string | null): string {
  return header !== null && /^[\w.:-]{1,128}$/.test(header) ? header : crypto.randomUUID();
}
