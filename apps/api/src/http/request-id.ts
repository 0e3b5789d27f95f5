/** The name under which one request is found again in every log. */
import { randomUUID } from "node:crypto";

/** The edge always sets the header. A stranger may too, so only a tame value is believed; it ends up in logs and headers. */
export function requestIdFrom(header: string | undefined): string {
  return header !== undefined && /^[\w.:-]{1,128}$/.test(header) ? header : randomUUID();
}
