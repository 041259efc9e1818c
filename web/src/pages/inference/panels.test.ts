// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { share } from "../../lib/names";
import { fillVariables } from "../../state/time";
import { TILES } from "../overview/panels";
import { HOST, overlayPanel, rows } from "./panels";

const panels = [...rows().flatMap((row) => row.panels), ...TILES];

describe("the panel tables", () => {
  it("have the rows of the showcase in their order", () => {
    expect(rows().map((row) => row.panels.map((panel) => panel.id))).toEqual([
      ["metrics-processed", "inference-success", "pipeline-latency"],
      ["cpu-original", "cpu-predicted", "cpu-overlay"],
      ["durations", "duration-total", "sla-violations"],
      ["model-performance", "model-latency", "collector-memory", "collector-cpu"],
    ]);
  });
  it("name each panel once", () => {
    const ids = panels.map((panel) => panel.id);
    expect(new Set(ids).size).toBe(ids.length);
  });
  it("leave no variable unfilled and close what they open", () => {
    for (const { expr } of panels.flatMap((panel) => panel.queries)) {
      const filled = fillVariables(expr, 900);
      expect(filled).not.toContain("$");
      for (const [open, close] of ["()", "{}", "[]"]) {
        expect(filled.split(open ?? "").length, filled).toBe(filled.split(close ?? "").length);
      }
    }
  });
  it("say what they show", () => {
    for (const panel of panels) expect(panel.about.length, panel.id).toBeGreaterThan(20);
  });
});

describe("a source", () => {
  const original = (source?: string) => overlayPanel(source).queries[0]?.expr ?? "";
  it("is one service, the machine, or all services and else the machine", () => {
    expect(original('a"b')).toContain('service_name="a\\"b"');
    expect(original(HOST)).toContain('service_name=""');
    expect(original()).toMatch(/service_name!="".* or .*service_name=""/);
  });
  it("is the same for what is measured and what is predicted", () => {
    for (const { expr } of overlayPanel("cart").queries) expect(expr).toContain('service_name="cart"');
  });
});

describe("share", () => {
  it("is zero, not absent, when nothing succeeded", () => {
    expect(share('x{ok="1"}', "x")).toBe(
      '(sum(rate(x{ok="1"}[$__rate_interval])) or 0 * sum(rate(x[$__rate_interval]))) / (sum(rate(x[$__rate_interval])) > 0)',
    );
  });
});
