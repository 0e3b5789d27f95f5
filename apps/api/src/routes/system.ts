import type { Route } from "../http/router.ts";
import type { Readiness } from "../readiness.ts";

export interface Identity {
  environment: string;
  release: string;
  instance: string;
}

export function systemRoutes(readiness: () => Promise<Readiness>, identity: Identity): Route[] {
  return [
    {
      method: "GET",
      path: "/health",
      // Asks nothing of anyone: a restart of this process mends no database, so a dead database must not cause one.
      handler: (exchange) => exchange.reply(200, { status: "ok" }),
    },
    {
      method: "GET",
      path: "/ready",
      handler: async (exchange) => {
        const answer = await readiness();
        exchange.reply(answer.status === "ready" ? 200 : 503, answer);
      },
    },
    {
      method: "GET",
      path: "/status",
      // Always 200: a person asks this, to read what is wrong.
      handler: async (exchange) =>
        exchange.reply(200, { ...identity, uptime_seconds: Math.floor(process.uptime()), ...(await readiness()) }),
    },
  ];
}
