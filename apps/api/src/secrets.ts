/** Whether somebody knows a secret of ours. */
import { createHash, timingSafeEqual } from "node:crypto";

/** Digests have equal length whatever goes in, so not even the secret's length shows in the time. */
export function isSameSecret(claimed: string, secret: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(claimed), digest(secret));
}
