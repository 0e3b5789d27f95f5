/** Who asks the api on behalf of the request being rendered. Reading the headers also tells Next never to render ahead of time. */
import { headers } from "next/headers";
import { readEnvironment } from "./environment.ts";
import { REQUEST_ID, requestIdFrom } from "./request-id.ts";
import type { Caller } from "./shop.ts";
import { TRACEPARENT } from "./trace.ts";

export async function currentCaller(): Promise<Caller> {
  const sent = await headers();
  return {
    apiUrl: readEnvironment().API_INTERNAL_URL,
    requestId: requestIdFrom(sent.get(REQUEST_ID)),
    traceparent: sent.get(TRACEPARENT) ?? undefined,
  };
}
