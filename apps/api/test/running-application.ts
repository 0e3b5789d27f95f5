/** The whole HTTP layer on a real socket, over stand-in stores. */
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import type { FailedRequest } from "../src/errors.ts";
import { createApplication } from "../src/http/application.ts";
import { createLog } from "../src/log.ts";
import { createReadiness } from "../src/readiness.ts";
import { authRoutes } from "../src/routes/auth.ts";
import { cartRoutes } from "../src/routes/cart.ts";
import { type EventStreams, eventRoutes } from "../src/routes/events.ts";
import { faultRoutes } from "../src/routes/faults.ts";
import { orderRoutes } from "../src/routes/orders.ts";
import { paymentRoutes } from "../src/routes/payments.ts";
import { pictureRoutes } from "../src/routes/pictures.ts";
import { productRoutes } from "../src/routes/products.ts";
import { systemRoutes } from "../src/routes/system.ts";
import type { Catalogue, Pictures } from "../src/shop.ts";
import { createTokens } from "../src/tokens.ts";
import { catalogueOf, countedChanges, emptyCarts, MUG, noOrders, picturesThatWereSent } from "./stand-in-stores.ts";

export const SHOP_ORIGIN = "https://www.shop.example";
export const FAULT_TOKEN = "let-me-fail";
export const UPLOAD_TOKEN = "let-me-upload";

export interface Running {
  url: string;
  server: Server;
  streams: EventStreams;
  lines: Record<string, unknown>[];
  reports: FailedRequest[];
  state: { draining: boolean };
}

export async function start(
  context: TestContext,
  options: { catalogue?: Catalogue; pictures?: Pictures; paymentSecretKey?: string } = {},
): Promise<Running> {
  const { catalogue = catalogueOf(MUG), pictures = picturesThatWereSent(), paymentSecretKey } = options;
  const lines: Record<string, unknown>[] = [];
  const reports: FailedRequest[] = [];
  const state = { draining: false };
  const isDraining = () => state.draining;
  const answers = async () => {};
  const { privateKey } = generateKeyPairSync("ed25519");
  const signingKey = JSON.stringify({ ...privateKey.export({ format: "jwk" }), kid: "k" });
  const tokens = createTokens({ signingKey, keySetUrl: "http://127.0.0.1:9/" });
  const events = eventRoutes("api-1");
  const readiness = createReadiness({ mongodb: answers, redis: answers, isDraining });

  const server = createServer(
    createApplication({
      routes: [
        ...systemRoutes(readiness, { environment: "local", release: "r1", instance: "api-1" }),
        ...productRoutes(catalogue, pictures),
        ...pictureRoutes(catalogue, pictures, UPLOAD_TOKEN),
        ...cartRoutes({ carts: emptyCarts(), changes: countedChanges() }, catalogue, ["s".repeat(32)]),
        ...orderRoutes(noOrders(), catalogue),
        ...authRoutes(tokens),
        ...paymentRoutes(paymentSecretKey),
        ...faultRoutes(FAULT_TOKEN),
        ...events.routes,
      ],
      corsOrigins: [SHOP_ORIGIN],
      isDraining,
      report: (_error, request) => reports.push(request),
      log: createLog("debug", (line) => lines.push(JSON.parse(line))),
    }),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    server,
    streams: events.streams,
    lines,
    reports,
    state,
  };
}

export function jsonBody(method: string, body: unknown, headers: Record<string, string> = {}): RequestInit {
  return { method, body: JSON.stringify(body), headers: { "content-type": "application/json", ...headers } };
}
