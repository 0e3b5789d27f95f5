/** What the api says about products. An api that is away is an answer here, not an exception: each page has a face for it. */
import { describe, log } from "./log.ts";
import { REQUEST_ID } from "./request-id.ts";
import { TRACEPARENT, traceIdFrom } from "./trace.ts";

export interface Product {
  slug: string;
  name: string;
  summary: string;
  description: string;
  category: string;
  price_cents: number;
  currency: string;
  picture?: { url: string };
}

export type Answer<T> = { outcome: "found"; value: T } | { outcome: "missing" } | { outcome: "unavailable" };

export interface Caller {
  apiUrl: string;
  requestId: string;
  /** Passed on, so that what the api does belongs to the same trace. */
  traceparent?: string | undefined;
}

// A visitor is better served by an apology after three seconds than by a blank tab.
const TIMEOUT_MS = 3_000;

export async function listProducts(caller: Caller): Promise<Answer<Product[]>> {
  const answer = await ask<{ products: Product[] }>(caller, "/products");
  return answer.outcome === "found" ? { outcome: "found", value: answer.value.products } : answer;
}

export function findProduct(caller: Caller, slug: string): Promise<Answer<Product>> {
  return ask<Product>(caller, `/products/${encodeURIComponent(slug)}`);
}

async function ask<T>(caller: Caller, path: string): Promise<Answer<T>> {
  try {
    const response = await fetch(new URL(path, caller.apiUrl), {
      headers: {
        accept: "application/json",
        [REQUEST_ID]: caller.requestId,
        ...(caller.traceparent ? { [TRACEPARENT]: caller.traceparent } : {}),
      },
      cache: "no-store",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    if (response.status === 404) return { outcome: "missing" };
    if (!response.ok) throw new Error(`the api answered ${response.status}`);
    return { outcome: "found", value: (await response.json()) as T };
  } catch (error) {
    log("warn", "api unavailable", {
      request_id: caller.requestId,
      trace_id: traceIdFrom(caller.traceparent),
      path,
      error: describe(error),
    });
    return { outcome: "unavailable" };
  }
}
