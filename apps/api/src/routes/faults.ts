import { Problem } from "../http/problem.ts";
import type { Route } from "../http/router.ts";
import { isSameSecret } from "../secrets.ts";

/** Fails on purpose, so that the path of an error (answer, log, alert) can be proved on a live system. */
export function faultRoutes(faultToken: string | undefined): Route[] {
  return [
    {
      method: "POST",
      path: "/debug/error",
      handler: (exchange) => {
        const claimed = exchange.header("x-fault-token");
        if (faultToken === undefined || claimed === undefined || !isSameSecret(claimed, faultToken)) {
          // To anyone else this route does not exist.
          throw new Problem(404, "there is nothing at /debug/error");
        }
        throw new Error("a fault was injected through /debug/error");
      },
    },
  ];
}
