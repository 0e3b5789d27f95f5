import { expect, test } from "vitest";
import { parseConfig } from "../src/config.ts";
import { duration, money } from "../src/words.ts";

test("cents become a price", () => {
  expect(money(123_456, "EUR")).toBe("€1,234.56");
});

test.each([
  [0, "0 s"],
  [59, "59 s"],
  [61, "1 min 1 s"],
  [3_600, "1 h"],
  [93_784, "1 d 2 h"],
])("%d seconds are %s", (seconds, words) => {
  expect(duration(seconds)).toBe(words);
});

test("a config that lacks something says all that it lacks", () => {
  expect(() => parseConfig({ PUBLIC_API_URL: "https://api.shop.example", ROADBED_RELEASE: "" })).toThrow(
    "/config.json has faults: ROADBED_ENVIRONMENT is not set, ROADBED_RELEASE is not set, PUBLIC_SENTRY_DSN is not set, PUBLIC_SITE_URL is not set",
  );
  expect(() => parseConfig("<!doctype html>")).toThrow("PUBLIC_API_URL is not set");
});
