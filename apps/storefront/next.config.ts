import { fileURLToPath } from "node:url";
import type { NextConfig } from "next";

// The workspace keeps one node_modules at the root; without this the standalone folder would miss what lies there.
const repositoryRoot = fileURLToPath(new URL("../..", import.meta.url));

// roadbed-allow(frozen-at-build): only `next dev` looks at it, and a build leaves it out of what it makes
const siteUrl = process.env.PUBLIC_SITE_URL;

const config: NextConfig = {
  output: "standalone",
  outputFileTracingRoot: repositoryRoot,
  turbopack: { root: repositoryRoot },
  // Loaded by Node itself: Next bundles our modules several times, and there is to be one client, which every copy finds.
  serverExternalPackages: ["@sentry/node"],
  // We draw our pictures. The optimiser would be an endpoint to defend, and native code to carry.
  images: { unoptimized: true },
  // Instances of one release must agree on the names of their files, whichever machine built them.
  generateBuildId: () => process.env.ROADBED_RELEASE || "dev",
  poweredByHeader: false,
  // Only `next dev` looks at this: behind the edge, hot reloading comes from the public host.
  ...(siteUrl && URL.canParse(siteUrl) ? { allowedDevOrigins: [new URL(siteUrl).hostname] } : {}),
};

export default config;
