/** One connection to a Redis: who is at the other end, how long to wait, and what happens when it is away. */
import { createClient, type RedisClientOptions } from "redis";
import { describe, type Log } from "../log.ts";

// Redis answers in microseconds. Two seconds without an answer is a dead machine or a frozen process.
export const ANSWER_TIMEOUT_MS = 2_000;
const RECONNECT_MOST_MS = 250;

export interface RedisAddress {
  url: string;
  /** Certificates, in PEM, by which the server is recognised. */
  trusted: string;
  keyPrefix: string;
}

export type RedisConnection = ReturnType<typeof createRedisConnection>;

/** `what` names it in the log. */
export function createRedisConnection({ url, trusted, keyPrefix }: RedisAddress, what: string, log: Log) {
  const client = createClient({
    url,
    keyPrefix,
    // A queue of commands would replay minutes-old carts at once when Redis returns. Fail now, let the customer try again.
    disableOfflineQueue: true,
    // Features of Redis Enterprise, and CLIENT SETINFO: both are commands that our ACL user has no business with.
    maintNotifications: "disabled",
    disableClientInfo: true,
    // The ping keeps a healthy idle connection from tripping over the socket timeout, which is there to notice a frozen server.
    pingInterval: ANSWER_TIMEOUT_MS / 2,
    socket: {
      // The address asks for TLS; this is whom to believe there, and nobody else.
      tls: true,
      ca: trusted,
      connectTimeout: ANSWER_TIMEOUT_MS,
      socketTimeout: ANSWER_TIMEOUT_MS * 2,
      // Jitter, or all instances knock in the same millisecond when Redis returns.
      reconnectStrategy: (attempt) => Math.min(50 * 2 ** attempt, RECONNECT_MOST_MS) * (0.5 + Math.random() / 2),
    },
  } satisfies RedisClientOptions);

  // One line per outage, not one per attempt to end it.
  let reported = false;
  client.on("error", (error: unknown) => {
    if (!reported) log.warn(`${what} connection lost, reconnecting`, describe(error));
    reported = true;
  });
  client.on("ready", () => {
    log.info(`${what} connected`);
    reported = false;
  });

  return {
    client,

    /** Begins to connect, and keeps at it for ever. */
    connect: () => {
      // Rejects only when closed before it ever connected; outages are the reconnect strategy's business.
      client.connect().catch((error: unknown) => log.debug(`${what} never connected`, describe(error)));
    },

    close: async () => {
      if (client.isReady) await client.close();
      else client.destroy();
    },
  };
}
