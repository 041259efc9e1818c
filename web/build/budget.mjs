// SPDX-License-Identifier: Apache-2.0
// Fails the build when what a visitor loads grows past its budget (kB, gzip; 1 kB = 1000 bytes).
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

const ASSETS = "dist/assets";
const kilobytes = (path) => statSync(path).size / 1000;
const names = readdirSync(ASSETS);
const zipped = (name) => kilobytes(join(ASSETS, names.includes(`${name}.gz`) ? `${name}.gz` : name));

/** Scripts that `name` imports statically, itself included. */
function withImports(name, seen = new Set()) {
  if (seen.has(name)) return seen;
  seen.add(name);
  if (!name.endsWith(".js")) return seen;
  const text = readFileSync(join(ASSETS, name), "utf8");
  for (const [, imported] of text.matchAll(/(?:from|import)\s*"\.\/([^"]+\.js)"/g))
    withImports(imported, seen);
  return seen;
}

/** Everything index.html names, the chunk of the Overview page, what both import, and the styles of these. */
function firstLoad() {
  const html = readFileSync("dist/index.html", "utf8");
  const named = [...html.matchAll(/\/assets\/([^"]+)/g)].map((match) => match[1]);
  const overview = names.filter((name) => /^Overview.*\.(js|css)$/.test(name));
  const scripts = [...named, ...overview].flatMap((name) => [...withImports(name)]);
  const stems = new Set(scripts.map((name) => name.replace(/-[^-]+\.\w+$/, "")));
  const styles = names.filter((name) => name.endsWith(".css") && stems.has(name.replace(/-[^-]+\.\w+$/, "")));
  return [...new Set([...scripts, ...styles])];
}

const rows = [
  { what: "entry + Overview", files: firstLoad(), limit: 480 },
  { what: "charts", files: names.filter((name) => /^echarts.*\.js$/.test(name)), limit: 250 },
  { what: "editor", files: names.filter((name) => /^PromqlEditor.*\.js$/.test(name)), limit: 185 },
];
let failed = false;
for (const { what, files, limit } of rows) {
  const size = files.reduce((sum, name) => sum + zipped(name), 0);
  const verdict = files.length === 0 ? "MISSING" : size > limit ? "OVER BUDGET" : "ok";
  failed ||= verdict !== "ok";
  console.log(`${what.padEnd(18)} ${size.toFixed(1).padStart(7)} kB gzip of ${limit}  ${verdict}`);
}
const all = names
  .filter((name) => name.endsWith(".br"))
  .reduce((sum, name) => sum + kilobytes(join(ASSETS, name)), 0);
console.log(`${"all assets".padEnd(18)} ${all.toFixed(1).padStart(7)} kB brotli`);
process.exit(failed ? 1 : 0);
