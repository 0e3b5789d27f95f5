import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import { Problem } from "../http/problem.ts";
import type { Route } from "../http/router.ts";
import { TOKEN_SECONDS, type Tokens } from "../tokens.ts";

const derive = promisify<string, Buffer, number, ScryptOptions, Buffer>(scrypt);
// OWASP's floor for scrypt is N=2^17; 2^14 (16 MiB, some 40 ms) is Node's default and enough for a decoy.
const COST: ScryptOptions = { N: 2 ** 14 };
const KEY_BYTES = 32;

/**
 * The shop has no accounts yet: a login fails, so that the edge's protection of it can be built and proved. Guests get a token,
 * which any instance takes.
 */
export function authRoutes(tokens: Tokens): Route[] {
  const salt = randomBytes(16);
  const nobodysKey = randomBytes(KEY_BYTES);

  return [
    {
      method: "POST",
      path: "/auth/login",
      handler: async (exchange) => {
        const { email, password } = await exchange.json();
        if (typeof email !== "string" || !/^[^@\s]+@[^@\s]+$/.test(email) || email.length > 254) {
          throw new Problem(400, "email must be an email address");
        }
        if (typeof password !== "string" || password === "" || password.length > 1_024) {
          throw new Problem(400, "password must be 1 to 1024 characters");
        }
        // The full work for an unknown address too: the time of the answer must not tell who has an account.
        const isRight = timingSafeEqual(await derive(password, salt, KEY_BYTES, COST), nobodysKey);
        exchange.log.info("login refused", { decoy_matched: isRight });
        // The edge counts failures by account and client, and keeps the header to itself. Only we have read whose login it was.
        throw new Problem(401, "the email or the password is wrong", {
          "roadbed-login": `failed ${encodeURIComponent(email.toLowerCase())}`,
        });
      },
    },
    {
      method: "POST",
      path: "/auth/token",
      handler: async (exchange) => {
        const token = tokens.issue(`guest:${randomBytes(12).toString("base64url")}`);
        exchange.reply(200, { access_token: token, token_type: "Bearer", expires_in: TOKEN_SECONDS });
      },
    },
    {
      method: "GET",
      path: "/auth/me",
      handler: async (exchange) => {
        const token = /^Bearer ([A-Za-z0-9_.-]{1,4096})$/.exec(exchange.header("authorization") ?? "")?.[1];
        const subject = token === undefined ? undefined : await tokens.subjectOf(token);
        if (subject === undefined) {
          throw new Problem(401, "there is no token that holds", { "www-authenticate": "Bearer" });
        }
        exchange.reply(200, { subject });
      },
    },
  ];
}
