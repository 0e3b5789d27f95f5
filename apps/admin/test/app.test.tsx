import { act } from "react";
import { createRoot, type Root } from "react-dom/client";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { App } from "../src/app.tsx";

const CONFIG = {
  PUBLIC_API_URL: "https://api.shop.example",
  PUBLIC_SENTRY_DSN: "https://0123456789abcdef@admin.shop.example/.roadbed/telemetry/1",
  PUBLIC_SITE_URL: "https://www.shop.example",
  ROADBED_ENVIRONMENT: "staging",
  ROADBED_RELEASE: "r7",
};
const MUG = {
  slug: "enamel-mug",
  name: "Enamel Mug",
  summary: "Chips.",
  category: "Kitchen",
  price_cents: 1450,
  currency: "EUR",
};
const STATUS = {
  environment: "staging",
  release: "r7",
  instance: "api-1",
  uptime_seconds: 61,
  status: "unready",
  mongodb: { ok: true, ms: 2 },
  redis: { ok: false, ms: 800 },
};

let answers: Record<string, () => Response>;
let page: HTMLElement;
let root: Root;

beforeEach(() => {
  Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });
  vi.useFakeTimers();
  window.history.replaceState(null, "", "/");
  answers = {
    "/config.json": () => Response.json(CONFIG),
    "https://api.shop.example/products": () => Response.json({ products: [MUG] }),
    "https://api.shop.example/status": () => Response.json(STATUS),
  };
  vi.stubGlobal("fetch", async (url: string) => {
    const answer = answers[url];
    if (answer === undefined) throw new TypeError("Failed to fetch");
    return answer();
  });
  page = document.body.appendChild(document.createElement("div"));
  root = createRoot(page);
});

afterEach(async () => {
  await act(async () => root.unmount());
  page.remove();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const settle = (ms = 0) => act(() => vi.advanceTimersByTimeAsync(ms));
const show = async () => {
  await act(async () => root.render(<App />));
  await settle();
};
const click = async (element: Element | null) => {
  await act(async () => (element as HTMLElement).click());
  await settle();
};

test("products are shown with their prices, under the environment's badge", async () => {
  await show();
  expect(page.querySelector("tbody")?.textContent).toContain("Enamel Mug");
  expect(page.querySelector("tbody")?.textContent).toContain("€14.50");
  expect(page.querySelector(".environment.staging")?.textContent).toBe("staging r7");
});

test("an empty catalogue says so", async () => {
  answers["https://api.shop.example/products"] = () => Response.json({ products: [] });
  await show();
  expect(page.querySelector("[data-state=empty]")).not.toBeNull();
});

test("a failure shows its request id, and trying again mends it", async () => {
  const works = answers["https://api.shop.example/products"];
  answers["https://api.shop.example/products"] = () =>
    new Response("{}", { status: 503, headers: { "x-request-id": "edge-42" } });
  await show();
  expect(page.querySelector("[data-state=failed]")?.textContent).toContain("The API answered 503 (request edge-42).");

  if (works) answers["https://api.shop.example/products"] = works;
  await click(page.querySelector("[data-state=failed] button"));
  expect(page.querySelector("tbody")?.textContent).toContain("Enamel Mug");
});

test("the status page opens without a reload, polls, and marks an old answer as old", async () => {
  await show();
  await click(page.querySelector("nav a[href='/status']"));
  expect(window.location.pathname).toBe("/status");
  expect(page.querySelector("[data-store=mongodb]")?.getAttribute("data-ok")).toBe("true");
  expect(page.querySelector("[data-store=redis]")?.getAttribute("data-ok")).toBe("false");

  answers["https://api.shop.example/status"] = () =>
    Response.json({ ...STATUS, status: "ready", redis: { ok: true, ms: 1 } });
  await settle(5_000);
  expect(page.querySelector(".status")?.getAttribute("data-state")).toBe("ready");

  delete answers["https://api.shop.example/status"];
  await settle(5_000);
  expect(page.querySelector(".status")?.getAttribute("data-state")).toBe("stale");
  expect(page.textContent).toContain("The API cannot be reached.");
});

test("without a config nothing is guessed", async () => {
  answers["/config.json"] = () => new Response("<!doctype html>");
  await show();
  expect(page.querySelector("[data-state=failed]")?.textContent).toContain("PUBLIC_API_URL is not set");
});
