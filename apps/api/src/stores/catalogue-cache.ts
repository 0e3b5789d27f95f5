/** The list of products, remembered for some seconds by the Redis whose content can be made again. */
import { within } from "../deadline.ts";
import { describe, type Log } from "../log.ts";
import type { Catalogue, Product } from "../shop.ts";
import { createRedisConnection, type RedisAddress } from "./redis-connection.ts";

// What an editor changes is seen within this time. Every visitor of the first page asks for the list.
const SECONDS = 10;
// The database answers in some milliseconds: to wait longer than that for a cache is worse than to have none.
const PATIENCE_MS = 50;
const KEY = "catalogue:list";

export interface CachedCatalogue {
  catalogue: Catalogue;
  connect(): void;
  close(): Promise<void>;
}

/** Opens in failure: without the cache the shop is slower and not away, so readiness does not ask for it either. */
export function cacheCatalogue(catalogue: Catalogue, address: RedisAddress, log: Log): CachedCatalogue {
  const { client, connect, close } = createRedisConnection(address, "cache", log);

  async function attempt<T>(operation: () => Promise<T>): Promise<T | undefined> {
    if (!client.isReady) return undefined;
    try {
      return await within(PATIENCE_MS, operation);
    } catch (error) {
      log.debug("cache did not answer", describe(error));
      return undefined;
    }
  }

  return {
    catalogue: {
      ...catalogue,
      list: async () => {
        const remembered = await attempt(() => client.get(KEY));
        if (remembered) return JSON.parse(remembered) as Product[];
        const products = await catalogue.list();
        // An empty list is that of a shop which is still being set up.
        if (products.length > 0) {
          await attempt(() =>
            client.set(KEY, JSON.stringify(products), { expiration: { type: "EX", value: SECONDS } }),
          );
        }
        return products;
      },
      setPicture: async (slug, key) => {
        await catalogue.setPicture(slug, key);
        await attempt(() => client.del(KEY));
      },
    },
    connect,
    close,
  };
}
