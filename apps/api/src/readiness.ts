/** May this instance take traffic? Asked often by the edge, so the answer is shared and briefly remembered. */
import { within } from "./deadline.ts";

export interface Health {
  ok: boolean;
  ms: number;
}

export interface Readiness {
  status: "ready" | "unready" | "draining";
  mongodb: Health;
  redis: Health;
}

/** Resolves when the store answers, rejects when it does not. */
export type Probe = () => Promise<unknown>;

// Who asks gives up after a second: a slower answer would count as none. Half a second of memory bounds the load of probes
// to two a second, and a store that is away is noticed at once.
const PROBE_TIMEOUT_MS = 800;
const REMEMBER_MS = 500;
// A store that is back is noticed sooner still: until then the instance serves nobody.
const REMEMBER_TROUBLE_MS = 100;

export interface ReadinessOptions {
  mongodb: Probe;
  redis: Probe;
  isDraining: () => boolean;
  now?: () => number;
  timeoutMs?: number;
}

export function createReadiness(options: ReadinessOptions): () => Promise<Readiness> {
  const { mongodb, redis, isDraining, now = () => performance.now(), timeoutMs = PROBE_TIMEOUT_MS } = options;
  let latest: { at: number; until: number; stores: Promise<[Health, Health]> } | undefined;

  return async () => {
    // Counted from the start of the probe, so that an answer is never older than the promise above;
    // callers that arrive meanwhile share the probe under way instead of starting their own.
    if (latest === undefined || now() >= latest.until) {
      const stores = Promise.all([measure(mongodb, timeoutMs), measure(redis, timeoutMs)]);
      latest = { at: now(), until: now() + REMEMBER_MS, stores };
    }
    const asked = latest;
    const [mongodbHealth, redisHealth] = await asked.stores;
    const ok = mongodbHealth.ok && redisHealth.ok;
    if (!ok) asked.until = Math.min(asked.until, asked.at + REMEMBER_TROUBLE_MS);
    // Draining is asked last and never remembered: the edge must hear of it at once.
    return { status: isDraining() ? "draining" : ok ? "ready" : "unready", mongodb: mongodbHealth, redis: redisHealth };
  };
}

async function measure(probe: Probe, timeoutMs: number): Promise<Health> {
  const start = performance.now();
  const ok = await within(timeoutMs, probe).then(
    () => true,
    () => false,
  );
  return { ok, ms: Math.round(performance.now() - start) };
}
