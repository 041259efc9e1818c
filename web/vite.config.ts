// SPDX-License-Identifier: Apache-2.0
// Build and test settings. `npm run dev` proxies the API to BACKEND (the mock of `npm run mock`, or a running server).
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const backend = process.env.BACKEND ?? "http://127.0.0.1:9090";

export default defineConfig({
  plugins: [react()],
  build: {
    target: "es2022",
    // No inlined data: URLs: the page runs under `default-src 'self'`.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1000,
  },
  server: { proxy: { "/api": backend, "/-": backend } },
  // Vitest reads this key from the same file.
  ...{ test: { include: ["src/**/*.test.{ts,tsx}"], environment: "node" } },
});
