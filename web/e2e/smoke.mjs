// SPDX-License-Identifier: Apache-2.0
// Drives the page in Chromium against a running server and checks what a user relies on.
//
//   BASE_URL=http://127.0.0.1:9090 node e2e/smoke.mjs [--shots DIR] [--only NAME]
//
// BASE_URL may carry ?token=... for a server off loopback. The server must have received data for some seconds.
// Prints one line a check; exit code 1 when any failed.
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { launch, PAGES, settled, watch } from "./browser.mjs";

const given = new URL(process.env.BASE_URL ?? "http://127.0.0.1:9090");
const base = given.origin;
const token = given.searchParams.get("token");
const option = (name) =>
  process.argv.includes(`--${name}`) ? process.argv[process.argv.indexOf(`--${name}`) + 1] : "";
const shots = option("shots");
const only = option("only");
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const browser = await launch();
let failures = 0;

/** A page of its own profile; signed in when the address has a token. */
async function open(path, { problems, width = 1440, theme = "light", permissions = [] } = {}) {
  const context = await browser.newContext({
    viewport: { width, height: 900 },
    colorScheme: theme,
    permissions,
  });
  const page = await context.newPage();
  if (token) await page.goto(`${base}/?token=${token}`);
  if (problems) watch(page, base, problems);
  await page.goto(`${base}${path}`);
  return page;
}

async function check(name, run) {
  if (only && !name.includes(only)) return;
  const started = performance.now();
  try {
    const said = await run();
    console.log(`ok    ${name} (${Math.round(performance.now() - started)} ms)${said ? `: ${said}` : ""}`);
  } catch (error) {
    failures += 1;
    console.log(`FAIL  ${name}: ${error instanceof Error ? error.message : error}`);
  }
}

function must(condition, message) {
  if (!condition) throw new Error(message);
}

/** Asks the server from inside the page: same origin, same cookies. */
function promql(page, query, time) {
  return page.evaluate(
    async ([query, time]) => {
      const body = new URLSearchParams(time ? { query, time: String(time) } : { query });
      return (await fetch("/api/v1/query", { method: "POST", body })).json();
    },
    [query, time],
  );
}

const SCALES = {
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  B: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  "%": 0.01,
  s: 1,
  ms: 1e-3,
  "\u00b5s": 1e-6,
};

/** `55.6 MiB` -> 58300825.6; several parts (`1 h 2 m`) are not read. */
function readText(text) {
  const match = /^(-?[\d.]+(?:e[+-]?\d+)?)(?:\s([a-zA-Z%\u00b5]+))?(?:\/s)?$/.exec(text.trim());
  return match ? Number(match[1]) * (match[2] ? (SCALES[match[2]] ?? Number.NaN) : 1) : Number.NaN;
}

const near = (one, other, share) =>
  Math.abs(one - other) <= Math.max(Math.abs(one), Math.abs(other)) * share + 1e-12;

/** Every number that a page shows, against the same question to the server. */
async function compareNumbers(path) {
  // A range that ended a moment ago: nothing arrives for it any more.
  const to = Date.now() - 15_000;
  const page = await open(`${path}?from=${to - 300_000}&to=${to}`);
  await settled(page);
  const shown = await page.$$eval("[data-panel][data-exprs] [data-value]", (elements) =>
    elements.map((element) => ({
      panel: element.closest("[data-panel]").dataset.panel,
      expr: JSON.parse(element.closest("[data-panel]").dataset.exprs)[Number(element.dataset.query)],
      labels: element.dataset.labels,
      time: Number(element.dataset.time),
      value: Number(element.dataset.value),
      text: (element.querySelector(".number") ?? element).textContent,
    })),
  );
  must(shown.length > 0, "the page shows no numbers");
  for (const { panel, expr, labels, time, value, text } of shown) {
    const answer = await promql(page, expr, time);
    must(answer.status === "success", `${panel}: ${expr}: ${answer.error}`);
    const result = answer.data.result.find(
      ({ metric }) =>
        JSON.stringify(Object.entries(metric).sort()) ===
        JSON.stringify(Object.entries(JSON.parse(labels)).sort()),
    );
    must(result, `${panel}: the server has no series ${labels} for ${expr} at ${time}`);
    must(
      near(Number(result.value[1]), value, 1e-9),
      `${panel}: page has ${value}, server ${result.value[1]} for ${expr}`,
    );
    const read = readText(text);
    const unit = text.includes("s") && !text.includes("/s") && panel.startsWith("duration") ? 1e3 : 1;
    must(Number.isNaN(read) || near(read * unit, value, 0.006), `${panel}: shows "${text}" for ${value}`);
  }
  await page.context().close();
  return `${shown.length} numbers`;
}

for (const [name, path] of Object.entries(PAGES)) {
  await check(`${name} renders without errors, CSP violations or foreign requests`, async () => {
    const problems = [];
    for (const [width, theme] of [
      [1440, "light"],
      [1440, "dark"],
      [390, "light"],
      [390, "dark"],
    ]) {
      const page = await open(path, { problems, width, theme });
      await settled(page);
      must((await page.locator("h1").count()) === 1, "one h1");
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      must(overflow <= 0, `scrolls sideways by ${overflow} px at ${width} px`);
      if (shots) {
        mkdirSync(shots, { recursive: true });
        await page.screenshot({ path: `${shots}/${name}-${width}-${theme}.png`, fullPage: true });
      }
      await page.evaluate(AXE);
      const found = await page.evaluate(async () => {
        const { violations } = await globalThis.axe.run(document, { resultTypes: ["violations"] });
        return violations
          .filter(({ impact }) => impact === "serious" || impact === "critical")
          .map(
            ({ id, nodes }) =>
              `${id}: ${nodes
                .slice(0, 2)
                .map((node) => node.html.slice(0, 120))
                .join(" | ")}`,
          );
      });
      must(found.length === 0, `axe at ${width} px ${theme}: ${found.join("; ")}`);
      await page.context().close();
    }
    must(problems.length === 0, problems.slice(0, 5).join("; "));
  });
}

for (const name of ["overview", "inference"]) {
  await check(`numbers on ${name} equal PromQL answers`, () => compareNumbers(PAGES[name]));
}

await check("every panel of the showcase has data", async () => {
  const page = await open("/inference");
  await settled(page);
  const states = await page.$$eval("[data-panel]", (panels) =>
    panels.map(({ dataset }) => [dataset.panel, dataset.state]),
  );
  must(states.length === 13, `13 panels, not ${states.length}`);
  const lacking = states.filter(([, state]) => state !== "ready");
  must(lacking.length === 0, lacking.map((pair) => pair.join(" is ")).join(", "));
  await page.context().close();
});

await check("answers carry the headers of a strict page", async () => {
  const page = await open("/");
  const script = await page.locator('script[type="module"]').first().getAttribute("src");
  const headers = await page.evaluate(async (path) => {
    const read = async (url) => Object.fromEntries((await fetch(url)).headers);
    return { index: await read("/"), script: await read(path) };
  }, script);
  const policy = headers.index["content-security-policy"] ?? "";
  must(policy.includes("default-src 'self'") && !policy.includes("unsafe"), `policy: ${policy}`);
  must(headers.index["x-content-type-options"] === "nosniff", "nosniff");
  must((headers.script["cache-control"] ?? "").includes("immutable"), "hashed files are immutable");
  const missing = await page.evaluate(async () => (await fetch("/assets/none.js")).status);
  must(missing === 404, `an unknown asset gives ${missing}`);
  await page.context().close();
});

await check("first paint is fast", async () => {
  const page = await open("/");
  await page.waitForSelector('[data-panel][data-state="ready"]', { timeout: 15_000 });
  await page.goto("about:blank");
  await page.goto(`${base}/`);
  await page.waitForSelector('[data-panel][data-state="ready"]', { timeout: 15_000 });
  const { ready, bytes } = await page.evaluate(() => ({
    ready: performance.now(),
    bytes: performance.getEntriesByType("resource").reduce((sum, entry) => sum + entry.encodedBodySize, 0),
  }));
  await page.context().close();
  return `first panel with data after ${Math.round(ready)} ms, ${Math.round(bytes / 1000)} kB of files and answers`;
});

await check("the page updates by itself", async () => {
  const page = await open("/inference?from=now-5m");
  await settled(page);
  const read = () => page.locator('[data-testid="updated"]').textContent();
  const before = await read();
  await page.waitForFunction(
    (text) => document.querySelector('[data-testid="updated"]').textContent !== text,
    before,
    {
      timeout: 15_000,
    },
  );
  await page.context().close();
  return `${before} -> later`;
});

await check("range, refresh and theme live in the URL and survive a reload", async () => {
  const page = await open("/");
  await settled(page);
  await page.getByRole("button", { name: /^Time range/ }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Last hour 1h" }).focus();
  await page.keyboard.press("Enter");
  await page.waitForURL(/from=now-1h/);
  await page.getByLabel("Refresh", { exact: true }).selectOption("30s");
  await page.waitForURL(/refresh=30s/);
  await page.getByRole("button", { name: /^Theme/ }).click();
  await page.getByRole("menuitem", { name: "Dark" }).click();
  await page.waitForURL(/theme=dark/);
  await page.reload();
  await settled(page);
  const scheme = await page.evaluate(() => document.documentElement.dataset.mantineColorScheme);
  must(scheme === "dark", `the scheme is ${scheme}`);
  must(
    (await page.getByRole("button", { name: "Time range: Last hour" }).count()) === 1,
    "the range is kept",
  );
  await page.getByRole("link", { name: "Inference", exact: true }).click();
  await page.waitForURL(/\/inference\?.*from=now-1h/);
  await page.context().close();
});

await check("a chart can be read as a table and asked about", async () => {
  const page = await open("/inference");
  await settled(page);
  const panel = page.locator('[data-panel="cpu-overlay"]');
  const summary = await panel.getByRole("img").getAttribute("aria-label");
  must(/original: now .* between/.test(summary ?? ""), `summary: ${summary}`);
  await panel.getByRole("button", { name: /as table/ }).click();
  must((await panel.locator("tbody tr").count()) > 0, "the table has rows");
  await panel.getByRole("button", { name: /as chart/ }).click();
  await panel.getByRole("button", { name: /^About/ }).click();
  await page.getByRole("dialog").getByRole("link", { name: "Explore" }).first().click();
  await page.waitForURL(/\/explore\?.*q=/);
  await page.context().close();
});

await check("Explore runs what is typed, shows it as graph and table, and explains errors", async () => {
  const page = await open("/explore?from=now-5m");
  await page.waitForSelector(".cm-content");
  await page.locator(".cm-content").click();
  await page.keyboard.type("system_cpu_utilization_ratio");
  await page.keyboard.press("Escape");
  await page.keyboard.press("Enter");
  await page.waitForURL(/q=system_cpu_utilization_ratio/);
  await page.waitForSelector('[data-panel="explore-graph"][data-state="ready"] canvas', { timeout: 15_000 });
  await page.getByRole("tab", { name: "Table" }).click();
  await page.waitForSelector('[data-panel="explore-table"] tbody tr');
  const rows = await page.locator('[data-panel="explore-table"] tbody tr').count();
  const answer = await promql(page, "system_cpu_utilization_ratio");
  must(rows === answer.data.result.length, `${rows} rows, ${answer.data.result.length} series`);
  await page.goto(`${base}/explore?q=${encodeURIComponent("sum(")}`);
  const text = await page.getByRole("alert").textContent();
  must(/parse error|unexpected|expected/i.test(text ?? ""), `error text: ${text}`);
  await page.context().close();
  return `${rows} rows`;
});

/** How often the page asks when the server answers with `status`, until it says so. */
async function asked(status) {
  const page = await open("/logs?refresh=off");
  await settled(page);
  let count = 0;
  await page.route("**/api/v1/query_range", (route) => {
    count += 1;
    return route.fulfill({
      status,
      contentType: "application/json",
      body: '{"status":"error","error":"by the test"}',
    });
  });
  await page.goto(`${base}/explore?q=up&refresh=off`);
  await page.getByRole("alert").waitFor({ timeout: 20_000 });
  await page.context().close();
  return count;
}

await check("a 5xx is asked again three times, a 4xx never", async () => {
  const [server, client] = [await asked(503), await asked(422)];
  must(server === 4, `503: asked ${server} times`);
  must(client === 1, `422: asked ${client} times`);
});

await check("data that cannot be renewed stays and says how old it is", async () => {
  const page = await open("/?from=now-5m");
  await settled(page);
  await page.route("**/api/**", (route) =>
    route.fulfill({ status: 400, contentType: "application/json", body: '{"error":"by the test"}' }),
  );
  await page
    .getByText(/stale \d/)
    .first()
    .waitFor({ timeout: 20_000 });
  must((await page.locator('[data-panel="headline"] [data-value]').count()) > 0, "the numbers stay");
  await page.context().close();
});

await check("without data the page says what to send", async () => {
  const page = await open("/logs?refresh=off", { permissions: ["clipboard-read", "clipboard-write"] });
  await page.route("**/api/fg/v1/overview", async (route) => {
    const response = await route.fetch();
    return route.fulfill({ response, json: { ...(await response.json()), services: [] } });
  });
  await page.goto(`${base}/`);
  const box = page.getByRole("region", { name: "How to send data" });
  await box.waitFor({ timeout: 15_000 });
  await box.getByRole("button", { name: "Copy environment variables" }).click();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  must(copied.includes("OTEL_EXPORTER_OTLP_ENDPOINT="), `copied: ${copied}`);
  await page.context().close();
});

await check("a trace opens to its spans, a log record leads to its trace", async () => {
  const page = await open("/traces?refresh=off");
  await settled(page);
  await page.locator('[data-panel="traces"] button').first().click();
  await page.waitForURL(/trace=/);
  must((await page.getByRole("list", { name: "Spans" }).locator("li").count()) > 0, "spans are shown");
  await page.goto(`${base}/logs?refresh=off`);
  await settled(page);
  await page.locator('[data-panel="logs"] button').first().click();
  must((await page.locator('[data-panel="logs"] dl').count()) === 1, "fields are shown");
  await page.context().close();
});

await browser.close();
console.log(failures === 0 ? "smoke: all checks passed" : `smoke: ${failures} checks failed`);
process.exit(failures === 0 ? 0 : 1);
