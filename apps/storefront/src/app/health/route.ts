export const dynamic = "force-dynamic";

/** Asks nothing of anyone: a restart of this process mends no api, so a dead api must not cause one. */
export function GET(): Response {
  return Response.json({ status: "ok" }, { headers: { "cache-control": "no-store" } });
}
