/** One request and its answer, as routes see them. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Log } from "../log.ts";
import { type JsonObject, readJson } from "./body.ts";

export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly requestId: string;
  readonly params: Record<string, string>;
  readonly log: Log;

  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    requestId: string,
    params: Record<string, string>,
    log: Log,
  ) {
    this.request = request;
    this.response = response;
    this.requestId = requestId;
    this.params = params;
    this.log = log;
  }

  param(name: string): string {
    return this.params[name] ?? "";
  }

  header(name: string): string | undefined {
    const value = this.request.headers[name];
    return Array.isArray(value) ? value.join(", ") : value;
  }

  json(): Promise<JsonObject> {
    return readJson(this.request);
  }

  reply(status: number, body: unknown, headers: Record<string, string> = {}): void {
    send(this.response, status, body, headers);
  }
}

export function send(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(status, {
    "content-type": "application/json; charset=utf-8",
    "content-length": bytes.length,
    "cache-control": "no-store",
    ...headers,
  });
  response.end(bytes);
}
