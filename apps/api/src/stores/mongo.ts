/** The catalogue and the orders, remembered by MongoDB. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Collection, MongoClient, MongoError, MongoServerError, MongoWriteConcernError } from "mongodb";
import { DeadlinePassed, within } from "../deadline.ts";
import { describe, type Log } from "../log.ts";
import {
  type Catalogue,
  type Idempotency,
  type Order,
  type Orders,
  type Placement,
  type Product,
  StoreUnavailable,
} from "../shop.ts";
import { SEED } from "./catalogue-seed.ts";

// A customer waits this long at most, whether the server is slow, gone, or cannot reach its majority.
const OPERATION_TIMEOUT_MS = 5_000;
// The server and the sockets give up a little earlier, so that what we hear is a reason and not silence.
const SERVER_TIMEOUT_MS = 4_000;
// When no primary is known: an election takes a second or two, beyond that an honest 503 is better than a spinner.
const SELECTION_TIMEOUT_MS = 2_500;
const MAJORITY = { w: "majority", wtimeoutMS: SERVER_TIMEOUT_MS } as const;
const PREPARE_RETRY_MS = 1_000;
const DUPLICATE_KEY = 11_000;
// Answers of a server that is stepping down, shutting down, recovering, or out of time. They pass; a refusal does not.
// Names and numbers are those of MongoDB's error_codes.yml.
const PASSING_CODES = new Set<unknown>([
  50, // MaxTimeMSExpired
  91, // ShutdownInProgress
  189, // PrimarySteppedDown
  10_107, // NotWritablePrimary
  11_600, // InterruptedAtShutdown
  11_602, // InterruptedDueToReplStateChange
  13_435, // NotPrimaryNoSecondaryOk
  13_436, // NotPrimaryOrSecondary
]);

type ProductDocument = Product & { _id: string };
type OrderDocument = Omit<Order, "id"> & { _id: string; idempotency_key?: string; fingerprint?: string };

export interface MongoStore {
  catalogue: Catalogue;
  orders: Orders;
  probe(): Promise<unknown>;
  /** Fills in the first catalogue as soon as the server can be reached. Resolves then, or when the store is closed. */
  prepare(): Promise<void>;
  close(): Promise<void>;
}

/** Runs an operation against a server that is prepared, and sorts what it throws. */
type Reach = <T>(operation: () => Promise<T>) => Promise<T>;

/** Connects to nothing: `prepare` does, and from then on the driver by itself after every loss. */
/** Who is at the other end is recognised by `trusted`, certificates in PEM, where the address asks for TLS. */
export function createMongoStore(url: string, trusted: string, instance: string, log: Log): MongoStore {
  const client = new MongoClient(url, {
    ca: trusted,
    appName: `urbancart-${instance}`,
    serverSelectionTimeoutMS: SELECTION_TIMEOUT_MS,
    connectTimeoutMS: SELECTION_TIMEOUT_MS,
    waitQueueTimeoutMS: SELECTION_TIMEOUT_MS,
    socketTimeoutMS: SERVER_TIMEOUT_MS,
    heartbeatFrequencyMS: 2_000,
  });
  const db = client.db();
  const products = db.collection<ProductDocument>("products");
  const orders = db.collection<OrderDocument>("orders");

  const closing = new AbortController();
  let prepared = false;

  const reach: Reach = async (operation) => {
    // Without this line the first operation would connect by itself, fail, and leave the driver with a closed topology
    // that it uses for ever after.
    if (!prepared) throw new StoreUnavailable("mongodb", new Error("the catalogue is not filled yet"));
    try {
      return await within(OPERATION_TIMEOUT_MS, operation);
    } catch (error) {
      throw isOutage(error) ? new StoreUnavailable("mongodb", error) : error;
    }
  };

  return {
    catalogue: createCatalogue(products, reach),
    orders: createOrders(orders, reach),

    probe: () => reach(() => db.command({ ping: 1 })),

    prepare: async () => {
      while (!closing.signal.aborted) {
        try {
          await client.connect();
          await seed(products);
          prepared = true;
          log.info("mongodb prepared");
          return;
        } catch (error) {
          if (closing.signal.aborted) return;
          log.warn("mongodb not prepared yet, trying again", describe(error));
        }
        await sleep(PREPARE_RETRY_MS, undefined, { signal: closing.signal }).catch(() => {});
      }
    },

    close: async () => {
      closing.abort();
      await client.close();
    },
  };
}

/** Collections, their schemas and indexes are the infrastructure's: see [services.mongodb.collections] in roadbed.toml. */
async function seed(products: Collection<ProductDocument>): Promise<void> {
  // $setOnInsert: a product that someone edited stays as edited. Instances that start together agree by the unique index.
  await products.bulkWrite(
    SEED.map((product) => ({
      updateOne: {
        filter: { slug: product.slug },
        update: { $setOnInsert: { _id: product.slug, ...product } },
        upsert: true,
      },
    })),
    { ordered: false, writeConcern: MAJORITY },
  );
}

function createCatalogue(products: Collection<ProductDocument>, reach: Reach): Catalogue {
  const projection = { _id: 0 } as const;
  return {
    list: () => reach(() => products.find<Product>({}, { projection }).sort({ name: 1 }).toArray()),
    find: (slug) => reach(async () => (await products.findOne<Product>({ slug }, { projection })) ?? undefined),
    findAll: (slugs) => reach(() => products.find<Product>({ slug: { $in: slugs } }, { projection }).toArray()),
    setPicture: (slug, key) =>
      reach(async () => {
        await products.updateOne({ slug }, { $set: { picture: key } }, { writeConcern: MAJORITY });
      }),
  };
}

function createOrders(orders: Collection<OrderDocument>, reach: Reach): Orders {
  return {
    place: (order, idempotency) =>
      reach(async (): Promise<Placement> => {
        const { id, ...rest } = order;
        const document: OrderDocument = { _id: id, ...rest };
        if (idempotency !== undefined) {
          document.idempotency_key = idempotency.key;
          document.fingerprint = idempotency.fingerprint;
        }
        try {
          await orders.insertOne(document, { writeConcern: MAJORITY });
          return { outcome: "placed", order };
        } catch (error) {
          if (idempotency === undefined || !isDuplicateKey(error)) throw error;
          return replay(orders, idempotency);
        }
      }),

    find: (id) =>
      reach(async () => {
        const document = await orders.findOne({ _id: id }, { readConcern: { level: "majority" } });
        return document === null ? undefined : orderOf(document);
      }),
  };
}

/** The order that already has the key. */
async function replay(orders: Collection<OrderDocument>, idempotency: Idempotency): Promise<Placement> {
  // Linearizable waits until the majority holds what it read. The first attempt may still be waiting for its own
  // acknowledgement, and a local read would promise an order that a failover takes back.
  const first = await orders.findOne(
    { idempotency_key: idempotency.key },
    { readConcern: { level: "linearizable" }, maxTimeMS: SERVER_TIMEOUT_MS },
  );
  if (first === null) throw new StoreUnavailable("mongodb", new Error("the order with this key was rolled back"));
  if (first.fingerprint !== idempotency.fingerprint) return { outcome: "key_reused" };
  return { outcome: "replayed", order: orderOf(first) };
}

function orderOf(document: OrderDocument): Order {
  const { _id: id, idempotency_key: _key, fingerprint: _fingerprint, ...rest } = document;
  return { id, ...rest };
}

/** What the server refuses is our fault and a 500. Anything else means that it was not reached, and that a retry is welcome. */
function isOutage(error: unknown): boolean {
  if (error instanceof DeadlinePassed) return true;
  // The majority did not confirm in time. The write may yet stand; a retry with its idempotency key finds out.
  if (error instanceof MongoWriteConcernError) return true;
  if (error instanceof MongoServerError) return PASSING_CODES.has(error.code);
  return error instanceof MongoError;
}

function isDuplicateKey(error: unknown): boolean {
  return error instanceof MongoServerError && error.code === DUPLICATE_KEY;
}
