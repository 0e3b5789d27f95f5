/** Gives every request its id before any page sees it, and tells the caller. */
import { type NextRequest, NextResponse } from "next/server";
import { REQUEST_ID, requestIdFrom } from "./request-id.ts";

export function proxy(request: NextRequest): NextResponse {
  const id = requestIdFrom(request.headers.get(REQUEST_ID));
  const headers = new Headers(request.headers);
  headers.set(REQUEST_ID, id);
  const response = NextResponse.next({ request: { headers } });
  response.headers.set(REQUEST_ID, id);
  return response;
}

// Files with hashed names need no id, and probes no detour.
export const config = { matcher: "/((?!_next/|health$|ready$|icon\\.svg$).*)" };
