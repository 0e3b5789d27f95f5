/** Which handler answers a method and a path? */
import type { Exchange } from "./exchange.ts";

export type Handler = (exchange: Exchange) => Promise<void> | void;

export interface Route {
  method: "GET" | "POST" | "PUT" | "DELETE";
  /** Segments; one that starts with a colon matches anything and names it: "/products/:slug". */
  path: string;
  handler: Handler;
}

export type Match =
  | { outcome: "found"; handler: Handler; params: Record<string, string>; methods: string[] }
  | { outcome: "wrong_method"; methods: string[] }
  | { outcome: "unknown_path" };

/** A dozen routes: a linear search costs less than explaining a cleverer one. */
export function match(routes: Route[], method: string, path: string): Match {
  const fitting = routes.flatMap((route) => {
    const params = paramsOf(route.path, path);
    return params === undefined ? [] : [{ ...route, params }];
  });
  if (fitting.length === 0) return { outcome: "unknown_path" };

  const methods = fitting.flatMap((route) => (route.method === "GET" ? ["GET", "HEAD"] : [route.method]));
  // Node leaves the body out of an answer to HEAD, so GET's handler serves both.
  const wanted = method === "HEAD" ? "GET" : method;
  const route = fitting.find((candidate) => candidate.method === wanted);
  return route ? { outcome: "found", ...route, methods } : { outcome: "wrong_method", methods };
}

function paramsOf(pattern: string, path: string): Record<string, string> | undefined {
  const names = pattern.split("/");
  const values = path.split("/");
  if (names.length !== values.length) return undefined;

  const params: Record<string, string> = {};
  for (const [index, name] of names.entries()) {
    const value = values[index] ?? "";
    if (!name.startsWith(":")) {
      if (name !== value) return undefined;
      continue;
    }
    const decoded = decode(value);
    if (!decoded) return undefined;
    params[name.slice(1)] = decoded;
  }
  return params;
}

function decode(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined; // "%zz" names nothing we have.
  }
}
