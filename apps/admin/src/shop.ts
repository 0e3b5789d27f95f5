/** What the api says, in the api's own words. */

import { errorsAreOf } from "./errors.ts";

export interface Product {
  slug: string;
  name: string;
  summary: string;
  category: string;
  price_cents: number;
  currency: string;
}

export interface StoreHealth {
  ok: boolean;
  ms: number;
}

export interface Status {
  environment: string;
  release: string;
  instance: string;
  uptime_seconds: number;
  status: "ready" | "unready" | "draining";
  mongodb: StoreHealth;
  redis: StoreHealth;
}

// Shorter than the time between two polls, so that polls never pile up.
const TIMEOUT_MS = 4_000;

export async function fetchProducts(apiUrl: string, signal: AbortSignal): Promise<Product[]> {
  return (await get<{ products: Product[] }>(apiUrl, "/products", signal)).products;
}

export function fetchStatus(apiUrl: string, signal: AbortSignal): Promise<Status> {
  return get<Status>(apiUrl, "/status", signal);
}

async function get<T>(apiUrl: string, path: string, signal: AbortSignal): Promise<T> {
  const response = await fetch(`${apiUrl}${path}`, {
    signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
  });
  const id = response.headers.get("x-request-id");
  errorsAreOf(id);
  if (!response.ok) {
    throw new Error(`The API answered ${response.status}${id ? ` (request ${id})` : ""}.`);
  }
  return (await response.json()) as T;
}
