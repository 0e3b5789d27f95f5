import type { ServerResponse } from "node:http";
import type { Route } from "../http/router.ts";

const TICK_MS = 1_000;

/** Open streams, which would keep a draining server alive for ever. */
export interface EventStreams {
  endAll(): void;
}

export function eventRoutes(instance: string): { routes: Route[]; streams: EventStreams } {
  const open = new Set<ServerResponse>();

  const routes: Route[] = [
    {
      method: "GET",
      path: "/events",
      handler: ({ request, response }) => {
        response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
        if (request.method === "HEAD") {
          response.end();
          return;
        }

        let n = 0;
        const send = (event: string) => {
          response.write(
            `id: ${n}\nevent: ${event}\ndata: ${JSON.stringify({ n, instance, time: new Date().toISOString() })}\n\n`,
          );
          n += 1;
        };
        // One at once: a proxy that buffers is found out by the first byte, not by patience.
        send("hello");
        const ticking = setInterval(send, TICK_MS, "tick");

        open.add(response);
        response.on("close", () => {
          clearInterval(ticking);
          open.delete(response);
        });
      },
    },
  ];

  const streams: EventStreams = {
    endAll: () => {
      // A browser's EventSource reconnects by itself, and finds the instance that takes over.
      for (const response of open) response.end("event: bye\ndata: {}\n\n");
    },
  };
  return { routes, streams };
}
