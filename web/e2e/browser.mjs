// SPDX-License-Identifier: Apache-2.0
// Chromium for the tests of the page: started with a fresh profile, watched for everything that must not happen.
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const CANDIDATES = [
  process.env.CHROMIUM,
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
];

/** Pages and an address that shows each with something on it. */
export const PAGES = {
  overview: "/",
  inference: "/inference",
  explore: `/explore?q=${encodeURIComponent('sum by (state) (system_cpu_utilization_ratio{state!="idle"})')}`,
  table: `/explore?q=${encodeURIComponent('sum by (state) (system_cpu_utilization_ratio{state!="idle"})')}&tab=table`,
  traces: "/traces",
  logs: "/logs",
};

export async function launch() {
  const executablePath = CANDIDATES.find((path) => path && existsSync(path));
  if (!executablePath) throw new Error("no Chromium found: install it, or set CHROMIUM to its path");
  return chromium.launch({
    executablePath,
    headless: true,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** Collects console errors, page errors, CSP violations, failed requests and requests to other hosts. */
export function watch(page, base, problems) {
  const origin = new URL(base).origin;
  const note = (text) => problems.push(`${new URL(page.url()).pathname}: ${text}`);
  page.on("console", (message) => {
    if (message.type() === "error") note(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => note(`page error: ${error.message}`));
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(origin) && !url.startsWith("data:") && !url.startsWith("blob:"))
      note(`external request: ${url}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 400) note(`${response.status()} from ${response.url()}`);
  });
}

/** Waits until no panel loads any more and charts are drawn. */
export async function settled(page) {
  await page.waitForSelector("main *", { timeout: 15_000 });
  await page.waitForFunction(
    () =>
      document.querySelectorAll('[data-state="loading"]').length === 0 &&
      !document.querySelector("main .mantine-Skeleton-root"),
    null,
    { timeout: 15_000 },
  );
  await page.waitForFunction(
    () =>
      [...document.querySelectorAll('[data-state="ready"] [role="img"]')].every(
        (chart) => chart.tagName === "svg" || chart.querySelector("canvas"),
      ),
    null,
    { timeout: 15_000 },
  );
  await page.waitForTimeout(400);
}
