/** The words of the shop, and what it needs from whoever remembers them. The stores implement this; the routes know nothing else. */

export interface Product {
  slug: string;
  name: string;
  summary: string;
  description: string;
  category: string;
  /** Money is counted in the currency's smallest unit. Floats lose cents. */
  price_cents: number;
  currency: "EUR";
  /** Its key in object storage. */
  picture?: string;
}

export interface Line {
  slug: string;
  quantity: number;
}

export interface PricedLine extends Line {
  name: string;
  price_cents: number;
}

export interface Order {
  id: string;
  created_at: string;
  lines: PricedLine[];
  total_cents: number;
  currency: "EUR";
}

export interface Catalogue {
  list(): Promise<Product[]>;
  find(slug: string): Promise<Product | undefined>;
  findAll(slugs: string[]): Promise<Product[]>;
  setPicture(slug: string, key: string): Promise<void>;
}

/** Where a browser may send one picture of this type and length, for some minutes. */
export interface Offer {
  key: string;
  url: string;
  headers: Record<string, string>;
}

export interface Pictures {
  offer(slug: string, type: string, bytes: number): Promise<Offer>;
  /** Whether what lies there can be shown. */
  isPicture(key: string): Promise<boolean>;
  remove(key: string): Promise<void>;
  /** Where it is delivered; `?w=` and a width make it as wide. */
  urlOf(key: string): string;
}

export interface Carts {
  read(session: string): Promise<Line[]>;
  /** Quantity 0 takes the product out. */
  put(session: string, line: Line): Promise<void>;
  clear(session: string): Promise<void>;
}

/** How often a cart may be changed. Strangers without one are the edge's to limit. */
export interface CartChanges {
  /** Seconds until the next change may be asked for; none: it may be now. */
  take(session: string): Promise<number | undefined>;
}

export interface Idempotency {
  key: string;
  /** Digest of what was asked for, so that a key used for something else is noticed. */
  fingerprint: string;
}

export type Placement =
  | { outcome: "placed"; order: Order }
  | { outcome: "replayed"; order: Order }
  | { outcome: "key_reused" };

export interface Orders {
  /** Resolves only when a majority of the replica set holds the order: until then nothing may be promised to the customer. */
  place(order: Order, idempotency: Idempotency | undefined): Promise<Placement>;
  find(id: string): Promise<Order | undefined>;
}

/** A store cannot be reached, or did not answer in time. The request may be tried again. */
export class StoreUnavailable extends Error {
  constructor(store: "mongodb" | "redis" | "object storage", cause: unknown) {
    super(`${store} is not available`, { cause });
    this.name = "StoreUnavailable";
  }
}

// A cart is one hash in Redis and an order one document: both limits keep them small.
export const MOST_LINES = 50;
export const MOST_OF_ONE = 99;
// Five a second: nobody's fingers, and few enough that a loop in somebody's page costs the others nothing.
export const MOST_CHANGES = 300;
export const CHANGES_SECONDS = 60;
