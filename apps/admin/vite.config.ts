import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

/** Read by `vite dev` alone. A build takes nothing from its environment, so that it serves every one of them. */
const { HOST, PORT, PUBLIC_URL } = process.env;

/** The edge's address, when it stands in front: the browser comes from there, and its hot reloading must go back there. */
function behindTheEdge(publicUrl: string) {
  const url = new URL(publicUrl);
  const isTls = url.protocol === "https:";
  return {
    allowedHosts: [url.hostname],
    hmr: {
      protocol: isTls ? "wss" : "ws",
      host: url.hostname,
      clientPort: Number(url.port || (isTls ? 443 : 80)),
    },
  };
}

export default defineConfig({
  plugins: [react()],
  server: {
    host: HOST || "127.0.0.1",
    port: Number(PORT || 5173),
    // Another port than the one the edge knows is as good as none.
    strictPort: true,
    ...(PUBLIC_URL ? behindTheEdge(PUBLIC_URL) : {}),
  },
  build: {
    // Kept out of what visitors load, at hand for whoever reads a stack trace.
    sourcemap: "hidden",
  },
  test: {
    environment: "happy-dom",
    include: ["test/**/*.test.{ts,tsx}"],
  },
});
