// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import type { Frame, Role } from "./frame";
import { overlay, roundStep } from "./overlay";

const series = (role: Role, values: number[]) => ({
  name: role,
  role,
  labels: {},
  values: Float64Array.from(values),
});
const times = Float64Array.from([0, 1, 2]);

describe("overlay", () => {
  const frame: Frame = {
    times,
    series: [
      series("measured", [0, 10, Number.NaN]),
      series("predicted", [5, 5, 5]),
      series("lower", [0, 0, Number.NaN]),
      series("upper", [10, 10, Number.NaN]),
    ],
  };
  it("puts all lines on one scale that ends at round values", () => {
    const { lines, ticks } = overlay(frame, 100, 50);
    expect(lines.map(({ path }) => path)).toEqual(["M0 50L50 0", "M0 25L50 25L100 25"]);
    expect(ticks).toEqual([
      { value: 0, y: 50 },
      { value: 5, y: 25 },
      { value: 10, y: 0 },
    ]);
  });
  it("closes the interval around what both ends have", () => {
    expect(overlay(frame, 100, 50).band).toBe("M0 0L50 0L50 50L0 50Z");
    expect(overlay({ times, series: frame.series.slice(0, 3) }, 100, 50).band).toBe("");
  });
  it("gives a constant a scale, and nothing an empty drawing", () => {
    expect(overlay({ times, series: [series("measured", [7, 7, 7])] }, 10, 10).ticks.length).toBeGreaterThan(
      1,
    );
    expect(overlay({ times, series: [series("measured", [Number.NaN])] }, 10, 10).lines).toEqual([]);
  });
});

describe("roundStep", () => {
  it.each([
    [0.03, 0.05],
    [3.4, 5],
    [1, 1],
    [70, 100],
  ])("of %d is %d", (least, step) => expect(roundStep(least)).toBeCloseTo(step));
});
