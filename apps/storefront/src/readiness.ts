/** May this instance take traffic? Only if the api behind it may. Shared by callers and briefly remembered. */

const TIMEOUT_MS = 1_000;
const REMEMBER_MS = 1_000;
// An api that is back is noticed sooner: until then the instance serves nobody.
const REMEMBER_TROUBLE_MS = 100;

export interface ReadinessOptions {
  /** Resolves to true when the api calls itself ready. */
  askApi: (signal: AbortSignal) => Promise<boolean>;
  now?: () => number;
}

export function createReadiness({ askApi, now = () => performance.now() }: ReadinessOptions): () => Promise<boolean> {
  let latest: { at: number; until: number; ready: Promise<boolean> } | undefined;

  return async () => {
    if (latest === undefined || now() >= latest.until) {
      const ready = askApi(AbortSignal.timeout(TIMEOUT_MS)).catch(() => false);
      latest = { at: now(), until: now() + REMEMBER_MS, ready };
    }
    const asked = latest;
    const isReady = await asked.ready;
    if (!isReady) asked.until = Math.min(asked.until, asked.at + REMEMBER_TROUBLE_MS);
    return isReady;
  };
}
