/** Whose cart is it? A random session id in a cookie, signed so that nobody can name another's. */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";

// The __Host- prefix makes the browser insist on Secure, on Path=/ and on no Domain: no sister site can plant the cookie.
export const SESSION_COOKIE = "__Host-session";
export const SESSION_SECONDS = 24 * 60 * 60;

export function newSession(): string {
  return randomBytes(18).toString("base64url");
}

/** `keys` are those of the keyring: the first signs. */
export function sessionCookie(session: string, keys: readonly string[]): string {
  const value = `${session}.${signature(session, keys[0] ?? "")}`;
  return `${SESSION_COOKIE}=${value}; Path=/; Max-Age=${SESSION_SECONDS}; HttpOnly; Secure; SameSite=Lax`;
}

/** The session that a Cookie header proves, if any. A forged or foreign cookie is the same as none. */
export function sessionFrom(cookieHeader: string | undefined, keys: readonly string[]): string | undefined {
  const prefix = `${SESSION_COOKIE}=`;
  const value = cookieHeader
    ?.split(";")
    .map((cookie) => cookie.trim())
    .find((cookie) => cookie.startsWith(prefix))
    ?.slice(prefix.length);
  const [session, claimed, ...rest] = value?.split(".") ?? [];
  if (!session || !claimed || rest.length > 0) return undefined;
  // Each is tried, also after one that fits: the time must not tell which key signed.
  const isOurs = keys.map((key) => equal(claimed, signature(session, key))).includes(true);
  return isOurs ? session : undefined;
}

/** The values of a keyring, as the environment hands them over. */
export function keyring(text: string): string[] {
  return text.split(",").filter((key) => key !== "");
}

function signature(session: string, secret: string): string {
  return createHmac("sha256", secret).update(`session:${session}`).digest("base64url");
}

function equal(left: string, right: string): boolean {
  const [a, b] = [Buffer.from(left), Buffer.from(right)];
  return a.length === b.length && timingSafeEqual(a, b);
}
