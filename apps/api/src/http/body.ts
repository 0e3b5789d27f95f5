/** Reads a JSON object from a request, and no more than we are willing to hold. */
import type { IncomingMessage } from "node:http";
import { Problem } from "./problem.ts";

// The largest honest body is an order of 50 lines, some 5 KiB.
export const MOST_BODY_BYTES = 64 * 1024;

export type JsonObject = Record<string, unknown>;

export async function readJson(request: IncomingMessage): Promise<JsonObject> {
  const mediaType = request.headers["content-type"]?.split(";")[0]?.trim().toLowerCase();
  if (mediaType !== "application/json") throw new Problem(415, "send the body as application/json");

  const text = await readText(request);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Problem(400, "the body is not valid JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Problem(400, "the body must be a JSON object");
  }
  return value as JsonObject;
}

async function readText(request: IncomingMessage): Promise<string> {
  // The rest is read and dropped by the application: closing at once would reset the connection before the answer arrives.
  const tooLarge = () => new Problem(413, `the body is larger than ${MOST_BODY_BYTES} bytes`);
  if (Number(request.headers["content-length"] ?? 0) > MOST_BODY_BYTES) throw tooLarge();

  const chunks: Buffer[] = [];
  let length = 0;
  // Not `for await`: leaving that loop destroys the socket, and the 413 with it.
  await new Promise<void>((resolve, reject) => {
    request.on("data", (chunk: Buffer) => {
      length += chunk.length;
      if (length > MOST_BODY_BYTES) reject(tooLarge());
      else chunks.push(chunk);
    });
    request.on("end", resolve);
    request.on("error", () => reject(new Problem(400, "the body ended early")));
  });
  return Buffer.concat(chunks).toString("utf8");
}
