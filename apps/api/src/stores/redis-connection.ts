/** The way to a Redis: who is at the other end, how long to wait, and what happens when it is away. */
import { createClient, createSentinel, type RedisClientOptions } from "redis";
import { describe, type Log } from "../log.ts";

// Redis answers in microseconds. Two seconds without an answer is a dead machine or a frozen process.
export const ANSWER_TIMEOUT_MS = 2_000;
const RECONNECT_MOST_MS = 250;
// As the sentinels call those whom they watch.
const GROUP = "redis";

export interface RedisAddress {
  url: string;
  /** `HOST:PORT` of the sentinels, joined by commas. They are asked who is primary; without them it is the address. */
  sentinels?: string | undefined;
  /** Certificates, in PEM, by which servers are recognised. */
  trusted: string;
  keyPrefix: string;
}

/** `what` names it in the log. */
export function createRedisConnection(address: RedisAddress, what: string, log: Log) {
  // Both have the same commands, with types that cannot be joined.
  const client = address.sentinels ? (openGroup(address, address.sentinels) as unknown as One) : openOne(address);

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

  let closed = false;
  const attempt = (): void => {
    client.connect().catch((error: unknown) => {
      log.debug(`${what} never connected`, describe(error));
      // A single server is knocked at for ever by the client itself; a group that is not there yet is ours to come back to.
      if (!closed) setTimeout(attempt, RECONNECT_MOST_MS);
    });
  };

  return {
    client,

    /** Begins to connect, and keeps at it for ever. */
    connect: attempt,

    close: async () => {
      closed = true;
      if (client.isReady) await client.close();
      else await client.destroy();
    },
  };
}

type One = ReturnType<typeof openOne>;

function openOne({ url, keyPrefix, trusted }: RedisAddress) {
  return createClient({ url, keyPrefix, ...options(trusted) });
}

function openGroup({ url, keyPrefix, trusted }: RedisAddress, sentinels: string) {
  const { username, password } = new URL(url);
  const login = { username: decodeURIComponent(username), password: decodeURIComponent(password) };
  const node = { ...login, ...options(trusted) };
  return createSentinel({
    name: GROUP,
    keyPrefix,
    sentinelRootNodes: sentinels.split(",").map((sentinel) => {
      const { hostname: host, port } = new URL(`redis://${sentinel}`);
      return { host, port: Number(port) };
    }),
    nodeClientOptions: node,
    sentinelClientOptions: node,
    passthroughClientErrorEvents: true,
  });
}

function options(trusted: string) {
  return {
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
      reconnectStrategy: (attempt: number) =>
        Math.min(50 * 2 ** attempt, RECONNECT_MOST_MS) * (0.5 + Math.random() / 2),
    },
  } satisfies RedisClientOptions;
}
