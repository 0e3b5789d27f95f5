/** May this instance take traffic? Only if the api behind it may. Shared by callers and remembered for a second. */

const TIMEOUT_MS = 1_000;
const REMEMBER_MS = 1_000;

export interface ReadinessOptions {
  /** Resolves to true when the api calls itself ready. */
  askApi: (signal: AbortSignal) => Promise<boolean>;
  now?: () => number;
}

export function createReadiness({ askApi, now = () => performance.now() }: ReadinessOptions): () => Promise<boolean> {
  let latest: { at: number; ready: Promise<boolean> } | undefined;

  return () => {
    if (latest === undefined || now() - latest.at >= REMEMBER_MS) {
      const ready = askApi(AbortSignal.timeout(TIMEOUT_MS)).catch(() => false);
      latest = { at: now(), ready };
    }
    return latest.ready;
  };
}
