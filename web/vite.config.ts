// SPDX-License-Identifier: Apache-2.0
// Build and test settings. `npm run dev` proxies the API to BACKEND (the mock of `npm run mock`, or a running server).
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const backend = process.env.BACKEND ?? "http://127.0.0.1:9090";

// The server refuses pages of other origins: Host has to stay what the browser sent as Origin.
const target = { target: backend, changeOrigin: false };
const proxy = { "/api": target, "/-": target };

export default defineConfig({
  plugins: [react()],
  build: {
    target: "es2022",
    // No inlined data: URLs: the page runs under `default-src 'self'`.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1000,
  },
  server: { proxy },
  preview: { proxy },
  // Vitest reads this key from the same file.
  ...{ test: { include: ["src/**/*.test.{ts,tsx}"], environment: "node" } },
});
