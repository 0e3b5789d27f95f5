/**
 * Next calls these: once when the server starts, and for every error that escapes a page.
 * It compiles this file for its edge runtime too, which has no process; hence the imports behind a condition.
 */
import type { Instrumentation } from "next";

export async function register(): Promise<void> {
  if (process.env.NEXT_RUNTIME === "nodejs") (await import("./process.ts")).watchOver();
}

export const onRequestError: Instrumentation.onRequestError = async (error, request) => {
  if (process.env.NEXT_RUNTIME === "nodejs") (await import("./failure.ts")).report(error, request);
};
