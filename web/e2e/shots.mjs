// SPDX-License-Identifier: Apache-2.0
// Screenshots of every page at 1440 and 390 px, light and dark, for looking at.
//
//   BASE_URL=http://127.0.0.1:9090 node e2e/shots.mjs <dir> [page ...]
import { launch, PAGES, settled, watch } from "./browser.mjs";

const base = process.env.BASE_URL ?? "http://127.0.0.1:9090";
const [dir = "shots", ...chosen] = process.argv.slice(2);
const browser = await launch();
const problems = [];
for (const [name, path] of Object.entries(PAGES).filter(
  ([name]) => chosen.length === 0 || chosen.includes(name),
)) {
  for (const width of [1440, 390]) {
    for (const theme of ["light", "dark"]) {
      const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme: theme });
      const page = await context.newPage();
      watch(page, base, problems);
      await page.goto(`${base}${path}`);
      await settled(page);
      await page.screenshot({ path: `${dir}/${name}-${width}-${theme}.png`, fullPage: true });
      await context.close();
    }
  }
}
await browser.close();
for (const problem of new Set(problems)) console.log(problem);
process.exit(problems.length === 0 ? 0 : 1);
