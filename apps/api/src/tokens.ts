/** Access tokens: signed with this instance's key, verified with every key that the environment's key set names. */
import { createPrivateKey, createPublicKey, type JsonWebKey, type KeyObject, sign, verify } from "node:crypto";

/** The key before the last holds an hour longer than it signs (rotate.overlap): tokens must have ended by then. */
export const TOKEN_SECONDS = 15 * 60;

/** A flood of tokens with made-up keys must not become a flood of questions. */
const LEAST_BETWEEN_QUESTIONS_MS = 5_000;
const QUESTION_DEADLINE_MS = 2_000;

export interface Tokens {
  issue(subject: string): string;
  /** Whose token it is; `undefined` if it is nobody's. */
  subjectOf(token: string): Promise<string | undefined>;
}

interface KeySet {
  keys: Map<string, KeyObject>;
  askedAt: number;
  maxAgeMs: number;
}

export interface TokenOptions {
  /** A private Ed25519 key as a JSON Web Key. */
  signingKey: string;
  keySetUrl: string;
  now?: () => number;
}

export function createTokens({ signingKey, keySetUrl, now = Date.now }: TokenOptions): Tokens {
  const jwk = JSON.parse(signingKey) as JsonWebKey & { kid: string };
  const privateKey = createPrivateKey({ key: jwk, format: "jwk" });
  const ownKey = createPublicKey(privateKey);
  let known: KeySet = { keys: new Map(), askedAt: Number.NEGATIVE_INFINITY, maxAgeMs: 0 };
  let question: Promise<KeySet> | undefined;

  /** Asks once for all who wait. */
  const ask = async (): Promise<void> => {
    question ??= fetchKeySet(keySetUrl, now()).finally(() => {
      question = undefined;
    });
    known = await question;
  };

  const keyOf = async (kid: string): Promise<KeyObject | undefined> => {
    if (kid === jwk.kid) return ownKey;
    const age = now() - known.askedAt;
    // By age, or a key that was taken away would verify for ever; by name, or a new one would be refused until then.
    if (age >= known.maxAgeMs || (!known.keys.has(kid) && age >= LEAST_BETWEEN_QUESTIONS_MS)) await ask();
    return known.keys.get(kid);
  };

  return {
    issue: (subject) => {
      const issuedAt = Math.floor(now() / 1_000);
      const head = encode({ alg: "EdDSA", typ: "JWT", kid: jwk.kid });
      const claims = encode({ sub: subject, iat: issuedAt, exp: issuedAt + TOKEN_SECONDS });
      return `${head}.${claims}.${sign(null, Buffer.from(`${head}.${claims}`), privateKey).toString("base64url")}`;
    },
    subjectOf: async (token) => {
      const [head, claims, signature, ...rest] = token.split(".");
      if (!head || !claims || !signature || rest.length > 0) return undefined;
      const { alg, kid } = decode(head);
      // The token does not choose how it is verified: one algorithm, whatever its head says.
      if (alg !== "EdDSA" || typeof kid !== "string") return undefined;
      const key = await keyOf(kid);
      if (!key || !verify(null, Buffer.from(`${head}.${claims}`), key, Buffer.from(signature, "base64url"))) {
        return undefined;
      }
      const { sub, exp } = decode(claims);
      return typeof sub === "string" && typeof exp === "number" && exp * 1_000 > now() ? sub : undefined;
    },
  };
}

async function fetchKeySet(url: string, now: number): Promise<KeySet> {
  const response = await fetch(url, { signal: AbortSignal.timeout(QUESTION_DEADLINE_MS) });
  if (!response.ok) throw new Error(`the key set answered ${response.status}`);
  const { keys } = (await response.json()) as { keys: (JsonWebKey & { kid?: string })[] };
  const maxAge = /max-age=([0-9]+)/.exec(response.headers.get("cache-control") ?? "")?.[1];
  return {
    keys: new Map(keys.flatMap((key) => (key.kid ? [[key.kid, createPublicKey({ key, format: "jwk" })]] : []))),
    askedAt: now,
    maxAgeMs: Number(maxAge ?? 0) * 1_000,
  };
}

function encode(part: unknown): string {
  return Buffer.from(JSON.stringify(part)).toString("base64url");
}

function decode(part: string): Record<string, unknown> {
  try {
    const decoded: unknown = JSON.parse(Buffer.from(part, "base64url").toString());
    return typeof decoded === "object" && decoded !== null ? (decoded as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
