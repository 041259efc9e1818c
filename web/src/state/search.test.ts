// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { globalSearch, parseSearch, printSearch, validateSearch } from "./search";

describe("the URL", () => {
  it("comes back as it was, without JSON quoting", () => {
    const search = { from: "now-1h", to: "now", q: 'rate(x{a="b+c"}[1m])' };
    const text = printSearch(search);
    expect(text).not.toContain("%22now");
    expect(parseSearch(text)).toEqual(search);
    expect(printSearch({})).toBe("");
  });
  it("drops what it does not know and what says nothing", () => {
    expect(
      validateSearch({ from: "now-1h", refresh: "7s", theme: "pink", x: "1", tab: "graph", q: "" }),
    ).toEqual({
      from: "now-1h",
    });
    expect(validateSearch({ refresh: "live" })).toEqual({});
    expect(validateSearch({ refresh: "off", theme: "dark", tab: "table" })).toEqual({
      refresh: "off",
      theme: "dark",
      tab: "table",
    });
  });
  it("reads Prometheus' own graph links", () => {
    expect(validateSearch(parseSearch("?g0.expr=up&g0.tab=0"))).toEqual({ q: "up" });
  });
  it("keeps range, refresh and theme from page to page, nothing else", () => {
    expect(globalSearch({ from: "now-1h", theme: "dark", q: "up", trace: "ab" })).toEqual({
      from: "now-1h",
      theme: "dark",
    });
  });
});
