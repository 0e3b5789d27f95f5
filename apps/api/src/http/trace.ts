/** The trace that a request belongs to: its id joins log lines, spans and errors of all apps that had to do with it. */

/** The edge always sets the header (W3C Trace Context). Nothing is made up without it: such a line belongs to no trace. */
export function traceIdFrom(traceparent: string | undefined): string | undefined {
  return /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}/.exec(traceparent ?? "")?.[1];
}
