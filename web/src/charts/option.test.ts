// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import type { Frame, Role } from "./frame";
import {
  besideCursor,
  byteTicks,
  colours,
  firstLines,
  lineOption,
  SERIES_MAX,
  tooltipRows,
  tooltipText,
  visibleLines,
} from "./option";
import { PALETTES } from "./palette";
import { sparkline } from "./sparkline";
import { summarise } from "./summary";

const palette = PALETTES.light;
const style = { unit: "ratio", palette, from: 0, to: 2000 } as const;

const series = (name: string, role: Role, values: number[]) => ({
  name,
  role,
  labels: {},
  values: Float64Array.from(values),
});

const overlay: Frame = {
  times: Float64Array.from([0, 1000, 2000]),
  series: [
    series("original", "measured", [0.2, 0.4, 0.3]),
    series("predicted", "predicted", [0.25, 0.35, Number.NaN]),
    series("lower", "lower", [0.1, 0.2, 0.1]),
    series("upper", "upper", [0.3, 0.6, 0.5]),
  ],
};

// biome-ignore lint/suspicious/noExplicitAny: an option is a tree of ECharts' own types; tests read leaves.
const option = (frame: Frame, more: object = {}): any => lineOption(frame, { ...style, ...more });

describe("lineOption", () => {
  it("dashes what is predicted and draws the interval as a band below the lines", () => {
    const { series: drawn, dataset } = option(overlay);
    expect(drawn.map((one: { id: string }) => one.id)).toEqual([
      "band-lower",
      "band-upper",
      "line-0",
      "line-1",
    ]);
    expect(drawn[2].lineStyle.type).toBe("solid");
    expect(Array.isArray(drawn[3].lineStyle.type)).toBe(true);
    expect(drawn[1].z).toBeLessThan(drawn[2].z);
    expect([...dataset.source.width].map((value: number) => Math.round(value * 10))).toEqual([2, 4, 4]);
  });
  it("hands columns over as they are, without copying them to pairs", () => {
    expect(option(overlay).dataset.source.s0).toBe(overlay.series[0]?.values);
    expect(option(overlay).dataset.source.time).toBe(overlay.times);
  });
  it("leaves gaps as gaps", () => {
    for (const one of option(overlay).series) expect(one.connectNulls).toBe(false);
  });
  it("never animates and never draws its tooltip as HTML", () => {
    expect(option(overlay).animation).toBe(false);
    expect(option(overlay).tooltip.renderMode).toBe("richText");
  });
  it("has no band without both ends", () => {
    const half = { ...overlay, series: overlay.series.slice(0, 3) };
    expect(option(half).series).toHaveLength(2);
  });
  it("offers at most the readable number of lines", () => {
    const many = {
      times: overlay.times,
      series: Array.from({ length: 50 }, (_, i) => series(`s${i}`, "measured", [1, 2, 3])),
    };
    expect(firstLines(many).series).toHaveLength(SERIES_MAX);
    expect(firstLines(overlay).series).toHaveLength(4);
  });
  it("keeps a threshold in sight", () => {
    const { yAxis, series: drawn } = option(overlay, { threshold: { value: 0.8, label: "limit" } });
    expect(yAxis.max({ max: 0.4 })).toBeCloseTo(0.96);
    expect(yAxis.max({ max: 2 })).toBeNull();
    expect(drawn[2].markLine.data).toEqual([{ yAxis: 0.8 }]);
  });
  it("shows a lone point as a dot", () => {
    const lone = { times: overlay.times, series: [series("a", "measured", [Number.NaN, 1, Number.NaN])] };
    expect(option(lone).series[0].showSymbol).toBe(true);
  });
});

describe("byteTicks", () => {
  it.each([
    [57 * 1024 ** 2, 16 * 1024 ** 2, 64 * 1024 ** 2],
    [3.9 * 1024 ** 3, 1024 ** 3, 4 * 1024 ** 3],
    [900, 250, 1000],
  ])("of %d bytes lie at round sizes", (max, interval, top) => {
    const frame = { times: overlay.times, series: [series("a", "measured", [0, max])] };
    expect(byteTicks(frame)).toEqual({ interval, max: top });
  });
});

describe("colours", () => {
  it("keep measured and predicted apart in a pair, and cycle elsewhere", () => {
    expect(colours(overlay, palette).slice(0, 2)).toEqual([palette.measured, palette.predicted]);
    const many = {
      times: overlay.times,
      series: Array.from({ length: 9 }, (_, i) => series(`s${i}`, "measured", [])),
    };
    expect(colours(many, palette)[8]).toBe(colours(many, palette)[0]);
  });
});

describe("visibleLines", () => {
  it("hides lines and leaves the others their colours", () => {
    const shown = visibleLines(overlay, new Set(["original"]), palette);
    expect(shown.series.map((one) => one.name)).toEqual(["predicted", "lower", "upper"]);
    expect(shown.series[0]?.colour).toBe(palette.predicted);
  });
});

describe("tooltipText", () => {
  it("has the time, values and interval at the cursor, and skips absent values", () => {
    const rows = tooltipText(overlay, 2, "ratio").split("\n");
    expect(rows.slice(1)).toEqual(["original  30 %", "interval  10 % to 50 %"]);
  });
  it("makes names harmless to the rich text parser", () => {
    const hostile = { times: overlay.times, series: [series("{a|<img>}", "measured", [1, 1, 1])] };
    expect(tooltipText(hostile, 0, "count")).toContain("(a/<img>)");
  });
  it("shows the highest of many", () => {
    const many = {
      times: overlay.times,
      series: Array.from({ length: 12 }, (_, i) => series(`s${i}`, "measured", [i])),
    };
    const rows = tooltipText(many, 0, "count").split("\n");
    expect(rows[1]).toBe("s11  11");
    expect(rows.at(-1)).toBe("and 7 lower");
    expect(tooltipText(many, 0, "count", [], 12).split("\n")).toHaveLength(13);
  });
});

describe("the tooltip", () => {
  it("stands beside the cursor, on the side with more room", () => {
    const sizes = { contentSize: [100, 50], viewSize: [400, 200] } as {
      contentSize: [number, number];
      viewSize: [number, number];
    };
    expect(besideCursor([50, 80], null, null, null, sizes)).toEqual([66, 2]);
    expect(besideCursor([300, 80], null, null, null, sizes)).toEqual([184, 2]);
  });
  it("grows with its chart", () => {
    expect(tooltipRows(190)).toBe(5);
    expect(tooltipRows(500)).toBe(19);
  });
});

describe("summarise", () => {
  it("says in words what the chart shows", () => {
    expect(summarise("CPU", overlay, "ratio")).toBe(
      "CPU over 2 s. original: now 30 %, between 20 % and 40 %. predicted: now 35 %, between 25 % and 35 %. interval now 10 % to 50 %.",
    );
  });
});

describe("sparkline", () => {
  it("spans the box and lifts the pen at a gap", () => {
    const { line, area } = sparkline(Float64Array.from([0, 10, Number.NaN, 5, 5]), 100, 20);
    expect(line).toBe("M0 18.5L25 1.5M75 10L100 10");
    expect(area.match(/Z/g)).toHaveLength(2);
  });
  it("begins where the values begin", () => {
    const late = Float64Array.from([Number.NaN, Number.NaN, 0, 10]);
    expect(sparkline(late, 100, 20).line).toBe("M0 18.5L100 1.5");
  });
  it("draws a constant in the middle and nothing for nothing", () => {
    expect(sparkline(Float64Array.from([3, 3]), 10, 10).line).toBe("M0 5L10 5");
    expect(sparkline(Float64Array.from([Number.NaN, Number.NaN]), 10, 10).line).toBe("");
  });
});
