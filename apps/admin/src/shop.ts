/** What the api says, in the api's own words. */

import { errorsAreOf } from "./errors.ts";

export interface Product {
  slug: string;
  name: string;
  summary: string;
  category: string;
  price_cents: number;
  currency: string;
  picture?: { url: string };
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

/** Sends a picture to object storage, by an address that the api signed, and has it shown. */
export async function sendPicture(apiUrl: string, key: string, slug: string, file: File): Promise<void> {
  const place = `/products/${encodeURIComponent(slug)}/picture`;
  const offer = await ask<Offer>(apiUrl, place, "POST", key, { type: file.type, bytes: file.size });
  const sent = await fetch(offer.url, { method: "PUT", headers: offer.headers, body: file });
  if (!sent.ok) throw new Error(`The object storage answered ${sent.status}.`);
  await ask(apiUrl, place, "PUT", key, { key: offer.key });
}

interface Offer {
  key: string;
  url: string;
  headers: Record<string, string>;
}

async function ask<T>(apiUrl: string, path: string, method: string, key: string, body: unknown): Promise<T> {
  const response = await fetch(`${apiUrl}${path}`, {
    method,
    headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
    body: JSON.stringify(body),
  });
  const answer = (await response.json().catch(() => ({}))) as T & { detail?: string };
  const id = response.headers.get("x-request-id");
  errorsAreOf(id);
  if (!response.ok) {
    throw new Error(
      `The API answered ${response.status}: ${answer.detail ?? "no reason"}${id ? ` (request ${id})` : ""}.`,
    );
  }
  return answer;
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
