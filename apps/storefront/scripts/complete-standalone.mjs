// Makes of Next's standalone folder one that serves alone: with what browsers load, without what nothing loads.
import { cpSync, existsSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const app = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const standalone = app(".next/standalone");

// Next leaves browser files out, meaning them for a CDN. We serve them from the same process.
cpSync(app(".next/static"), `${standalone}/apps/storefront/.next/static`, { recursive: true });
if (existsSync(app("public"))) cpSync(app("public"), `${standalone}/apps/storefront/public`, { recursive: true });

// The image optimiser is off, but its 17 MB of native code are traced all the same (Turbopack ignores outputFileTracingExcludes).
for (const unused of ["sharp", "@img"])
  rmSync(`${standalone}/node_modules/${unused}`, { recursive: true, force: true });
