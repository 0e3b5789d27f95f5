import assert from "node:assert/strict";
import { test } from "node:test";
import { keyring, newSession, SESSION_COOKIE, sessionCookie, sessionFrom } from "../src/http/session.ts";

const SECRET = "a secret of thirty-two characters";
const sentBack = (setCookie: string) => setCookie.split(";")[0] ?? "";

test("a session survives the trip through the browser, among other cookies", () => {
  const session = newSession();
  const cookie = sentBack(sessionCookie(session, [SECRET]));
  assert.equal(sessionFrom(`theme=dark; ${cookie}; lang=en`, [SECRET]), session);
});

test("the cookie is out of reach of scripts, of plain HTTP and of other sites", () => {
  assert.match(
    sessionCookie("s", [SECRET]),
    /^__Host-session=.*; Path=\/; Max-Age=86400; HttpOnly; Secure; SameSite=Lax$/,
  );
});

test("a cookie that we did not sign names no session", () => {
  const cookie = sentBack(sessionCookie("mine", [SECRET]));
  assert.equal(sessionFrom(cookie.replace("mine", "yours"), [SECRET]), undefined);
  assert.equal(sessionFrom(cookie, ["another secret of many characters"]), undefined);
  assert.equal(sessionFrom(`${SESSION_COOKIE}=mine`, [SECRET]), undefined);
  assert.equal(sessionFrom(`${SESSION_COOKIE}=mine.`, [SECRET]), undefined);
  assert.equal(sessionFrom(`${cookie}.more`, [SECRET]), undefined);
  assert.equal(sessionFrom(undefined, [SECRET]), undefined);
});

test("the first key signs, and every key of the ring verifies", () => {
  const [old, fresh] = ["an old key of thirty-two characters", "a new key of thirty-two characters!"];
  const before = sentBack(sessionCookie("mine", [old]));
  assert.equal(sessionFrom(before, keyring(`${fresh},${old}`)), "mine");
  assert.equal(sessionFrom(before, keyring(fresh)), undefined);
  assert.equal(sentBack(sessionCookie("mine", keyring(`${fresh},${old}`))), sentBack(sessionCookie("mine", [fresh])));
});
