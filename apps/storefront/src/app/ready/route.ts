import { isDraining } from "../../draining.ts";
import { readEnvironment } from "../../environment.ts";
import { createReadiness } from "../../readiness.ts";

export const dynamic = "force-dynamic";

const isApiReady = createReadiness({
  askApi: async (signal) => {
    const response = await fetch(new URL("/ready", readEnvironment().API_INTERNAL_URL), { cache: "no-store", signal });
    await response.arrayBuffer(); // Unread, it would keep its connection from being used again.
    return response.status === 200;
  },
});

export async function GET(): Promise<Response> {
  const apiReady = await isApiReady();
  const status = isDraining() ? "draining" : apiReady ? "ready" : "unready";
  return Response.json(
    { status, api: { ok: apiReady } },
    { status: status === "ready" ? 200 : 503, headers: { "cache-control": "no-store" } },
  );
}
