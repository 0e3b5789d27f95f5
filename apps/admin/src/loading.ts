/** Something fetched, in each of the states a page has to draw. */
import { useCallback, useEffect, useState } from "react";

export type Loading<T> =
  | { state: "loading" }
  | { state: "loaded"; value: T }
  /** `last` is what was true before it failed: old numbers, marked as old, beat none. */
  | { state: "failed"; message: string; last: T | undefined };

export type Fetching<T> = (signal: AbortSignal) => Promise<T>;

/** Fetches once, and again after each `everyMs` if given. `fetching` must keep its identity between renders. */
export function useLoading<T>(fetching: Fetching<T>, everyMs?: number): [Loading<T>, retry: () => void] {
  const [loading, setLoading] = useState<Loading<T>>({ state: "loading" });
  const [attempt, setAttempt] = useState(0);

  // biome-ignore lint/correctness/useExhaustiveDependencies: `attempt` is the wish to fetch again.
  useEffect(() => {
    const leaving = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;

    const run = async () => {
      try {
        const value = await fetching(leaving.signal);
        if (!leaving.signal.aborted) setLoading({ state: "loaded", value });
      } catch (error) {
        if (!leaving.signal.aborted) setLoading((before) => failed(error, before));
      }
      // Counted from the answer, not from the question: a slow api is not asked more often.
      if (everyMs !== undefined && !leaving.signal.aborted) timer = setTimeout(run, everyMs);
    };
    run();

    return () => {
      leaving.abort();
      clearTimeout(timer);
    };
  }, [fetching, everyMs, attempt]);

  return [loading, useCallback(() => setAttempt((n) => n + 1), [])];
}

function failed<T>(error: unknown, before: Loading<T>): Loading<T> {
  const last = before.state === "loaded" ? before.value : before.state === "failed" ? before.last : undefined;
  // fetch says "Failed to fetch" in as many wordings as there are browsers.
  const message = error instanceof TypeError ? "The API cannot be reached." : String((error as Error).message ?? error);
  return { state: "failed", message, last };
}
