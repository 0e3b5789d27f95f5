/** How the server ends: no request that was accepted goes unanswered. */
import { once } from "node:events";
import type { Server } from "node:http";

// Connections become idle one by one as their last answer goes out. Node closes idle ones only when asked.
const SWEEP_MS = 50;

/** Resolves when the last connection is closed. The caller has made /ready answer 503, and sets the deadline. */
export async function drain(server: Server, endStreams: () => void): Promise<void> {
  const closed = once(server, "close");
  server.close();
  endStreams();
  server.closeIdleConnections();
  const sweep = setInterval(() => server.closeIdleConnections(), SWEEP_MS);
  await closed;
  clearInterval(sweep);
}
