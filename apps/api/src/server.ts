/** The process: reads the environment, puts the parts together, listens, and ends well. */
import { createServer } from "node:http";
import { drain } from "./drain.ts";
import { type Environment, EnvironmentError, EXIT_CONFIGURATION, readEnvironment } from "./environment.ts";
import { lastErrors, watchErrors } from "./errors.ts";
import { createApplication } from "./http/application.ts";
import { keyring } from "./http/session.ts";
import { createLog, describe } from "./log.ts";
import { createReadiness } from "./readiness.ts";
import { authRoutes } from "./routes/auth.ts";
import { cartRoutes } from "./routes/cart.ts";
import { eventRoutes } from "./routes/events.ts";
import { faultRoutes } from "./routes/faults.ts";
import { orderRoutes } from "./routes/orders.ts";
import { paymentRoutes } from "./routes/payments.ts";
import { pictureRoutes } from "./routes/pictures.ts";
import { productRoutes } from "./routes/products.ts";
import { systemRoutes } from "./routes/system.ts";
import { cacheCatalogue } from "./stores/catalogue-cache.ts";
import { createMongoStore } from "./stores/mongo.ts";
import { createPictures } from "./stores/pictures.ts";
import { createRedisStore } from "./stores/redis.ts";
import { createRedisRestStore } from "./stores/redis-rest.ts";
import { createTokens } from "./tokens.ts";

const writeLine = (line: string) => process.stdout.write(line);

function environmentOrExit(): Environment {
  try {
    return readEnvironment();
  } catch (error) {
    if (!(error instanceof EnvironmentError)) throw error;
    createLog("error", writeLine).error(error.message, { faults: error.faults });
    process.exit(EXIT_CONFIGURATION);
  }
}

const environment = environmentOrExit();
const log = createLog(environment.LOG_LEVEL ?? "info", writeLine, {
  app: "api",
  instance: environment.ROADBED_INSTANCE,
  release: environment.ROADBED_RELEASE,
});

const report = watchErrors(environment);

let draining = false;
const isDraining = () => draining;

const mongo = createMongoStore(environment.MONGODB_URL, environment.SERVICES_CA, environment.ROADBED_INSTANCE, log);
const redisAt = (url: string) => ({ url, trusted: environment.SERVICES_CA, keyPrefix: environment.REDIS_KEY_PREFIX });
const { UPSTASH_REDIS_REST_URL: restUrl, UPSTASH_REDIS_REST_TOKEN: restToken } = environment;
// Before a Redis that somebody else runs stands no gateway: there the connection is what is left.
const redis =
  environment.REDIS_CLIENT === "rest" && restUrl && restToken
    ? createRedisRestStore({ url: restUrl, token: restToken, keyPrefix: environment.REDIS_KEY_PREFIX })
    : createRedisStore({ ...redisAt(environment.REDIS_URL), sentinels: environment.REDIS_SENTINELS }, log);
const cache = cacheCatalogue(mongo.catalogue, redisAt(environment.REDIS_CACHE_URL), log);
const pictures = createPictures({
  endpoint: environment.MEDIA_ENDPOINT,
  publicEndpoint: environment.MEDIA_PUBLIC_ENDPOINT,
  url: environment.MEDIA_URL,
  internalUrl: environment.MEDIA_INTERNAL_URL,
  bucket: environment.MEDIA_BUCKET,
  accessKeyId: environment.MEDIA_ACCESS_KEY_ID,
  secretAccessKey: environment.MEDIA_SECRET_ACCESS_KEY,
});
const readiness = createReadiness({ mongodb: mongo.probe, redis: redis.probe, isDraining });
const tokens = createTokens({ signingKey: environment.JWT_SIGNING_KEY, keySetUrl: environment.JWKS_URL });
const events = eventRoutes(environment.ROADBED_INSTANCE);

const server = createServer(
  {
    keepAliveTimeout: environment.ROADBED_KEEP_ALIVE_MS,
    // Node counts this from the moment a connection opens, so an unused connection in the edge's pool would be shut
    // after it, just as the edge sends an order down. It must outlast the pool, as the keep-alive does.
    headersTimeout: environment.ROADBED_KEEP_ALIVE_MS + 5_000,
    requestTimeout: environment.ROADBED_KEEP_ALIVE_MS + 30_000,
  },
  createApplication({
    routes: [
      ...systemRoutes(readiness, {
        environment: environment.ROADBED_ENVIRONMENT,
        release: environment.ROADBED_RELEASE,
        instance: environment.ROADBED_INSTANCE,
      }),
      ...productRoutes(cache.catalogue, pictures),
      ...pictureRoutes(cache.catalogue, pictures, environment.UPLOAD_TOKEN),
      ...cartRoutes(redis, mongo.catalogue, keyring(environment.SESSION_SECRET)),
      ...orderRoutes(mongo.orders, mongo.catalogue),
      ...authRoutes(tokens),
      ...paymentRoutes(environment.PAYMENT_SECRET_KEY),
      ...faultRoutes(environment.FAULT_TOKEN),
      ...events.routes,
    ],
    corsOrigins: environment.CORS_ORIGINS.split(","),
    isDraining,
    report,
    log,
  }),
);

async function end(signal: string): Promise<void> {
  if (draining) return;
  draining = true;
  log.info("draining", { signal, deadline_ms: environment.ROADBED_DRAIN_MS });
  // Covers the closing of the stores too. Unreferenced: it must not be what keeps the process alive.
  setTimeout(() => {
    log.error("drain deadline passed with requests still open");
    process.exit(1);
  }, environment.ROADBED_DRAIN_MS).unref();

  await drain(server, events.streams.endAll);
  // Only now: the requests that just finished needed the stores.
  await Promise.allSettled([mongo.close(), redis.close(), cache.close(), lastErrors()]);
  log.info("drained");
  process.exit(0);
}

process.on("SIGTERM", end);
process.on("SIGINT", end);

server.on("error", (error) => {
  log.error("cannot listen", { ...describe(error), host: environment.HOST, port: environment.PORT });
  process.exit(1);
});
server.listen(environment.PORT, environment.HOST, () => {
  log.info("listening", {
    host: environment.HOST,
    port: environment.PORT,
    environment: environment.ROADBED_ENVIRONMENT,
  });
});

// After listen: the process is alive, and says "unready", while its stores are still coming up.
redis.connect();
cache.connect();
void mongo.prepare();
