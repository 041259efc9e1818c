// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { type RangeAnswer, readValue, toFrame } from "../api/prometheus";
import { extent, isEmpty, joinFrames, latest, legendName, seriesName } from "./frame";

const answer = (values: [number, string][], start = 100): RangeAnswer => ({
  data: { resultType: "matrix", result: [{ metric: { __name__: "up", job: "a" }, values }] },
  grid: { start, end: start + 20, step: 10 },
  warnings: [],
  infos: [],
});

describe("toFrame", () => {
  it("puts samples on the grid and NaN between", () => {
    const frame = toFrame(
      answer([
        [100, "1"],
        [120, "3.5"],
      ]),
    );
    expect([...frame.times]).toEqual([100_000, 110_000, 120_000]);
    expect([...(frame.series[0]?.values ?? [])]).toEqual([1, Number.NaN, 3.5]);
  });
  it("ignores samples off the grid instead of growing", () => {
    expect([
      ...(toFrame(
        answer([
          [90, "1"],
          [130, "2"],
        ]),
      ).series[0]?.values ?? []),
    ]).toEqual([Number.NaN, Number.NaN, Number.NaN]);
  });
  it("reads special values", () => {
    expect(["NaN", "+Inf", "-Inf", "1e3"].map(readValue)).toEqual([
      Number.NaN,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      1000,
    ]);
  });
});

describe("names", () => {
  it("print as Prometheus prints them", () => {
    expect(seriesName({ __name__: "up", job: 'a"b' })).toBe('up{job="a\\"b"}');
    expect(seriesName({ __name__: "up" })).toBe("up");
    expect(seriesName({})).toBe("value");
  });
  it("fill a template, or fall back to the full name", () => {
    expect(legendName("{{job}} p95", { job: "api" })).toBe("api p95");
    expect(legendName("{{job}}", { service: "x" })).toBe('{service="x"}');
    expect(legendName("predicted", {})).toBe("predicted");
  });
});

describe("joinFrames", () => {
  it("unites grids that moved between two fetches", () => {
    const joined = joinFrames([
      toFrame(answer([[100, "1"]])),
      toFrame(answer([[130, "2"]], 110), { legend: "b" }),
    ]);
    expect([...joined.times]).toEqual([100_000, 110_000, 120_000, 130_000]);
    expect(joined.series.map((one) => one.values.length)).toEqual([4, 4]);
    expect(joined.series[1]?.values[3]).toBe(2);
  });
  it("gives series of one name different names", () => {
    const frame = toFrame(answer([[100, "1"]]), { legend: "same" });
    expect(joinFrames([frame, frame, frame]).series.map((one) => one.name)).toEqual([
      "same",
      'up{job="a"}',
      'up{job="a"} (2)',
    ]);
  });
  it("is empty for nothing", () => {
    expect(isEmpty(joinFrames([]))).toBe(true);
  });
});

describe("columns", () => {
  it("know their newest value and their extent", () => {
    const values = Float64Array.from([Number.NaN, 4, 2, Number.NaN]);
    expect(latest(values)).toEqual({ value: 2, index: 2 });
    expect(extent(values)).toEqual({ min: 2, max: 4 });
    expect(latest(new Float64Array(0))).toBeNull();
    expect(extent(Float64Array.from([Number.NaN]))).toBeNull();
  });
});
