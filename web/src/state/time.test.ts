// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { parseDuration, printDuration } from "../lib/duration";
import { DEFAULT_RANGE, fillVariables, grid, instant, refreshEvery, sanitise, stepFor } from "./time";

const NOW = 1_750_000_000_500;

describe("durations", () => {
  it.each([
    ["15m", 900],
    ["1h30m", 5400],
    ["500ms", 0.5],
    ["m", null],
    ["15", null],
  ])("reads %s", (text, seconds) => expect(parseDuration(text)).toBe(seconds));
  it.each([
    [90, "90s"],
    [120, "2m"],
    [7200, "2h"],
    [0.5, "500ms"],
  ])("prints %s in its largest whole unit", (seconds, text) => expect(printDuration(seconds)).toBe(text));
});

describe("instant", () => {
  it("reads relative and absolute ends", () => {
    expect(instant("now", NOW)).toBe(NOW);
    expect(instant("now-1h", NOW)).toBe(NOW - 3_600_000);
    expect(instant("1749999999999", NOW)).toBe(1_749_999_999_999);
  });
  it("refuses the rest", () => {
    for (const text of ["", "yesterday", "now-x", "now+1h", "12"]) expect(instant(text, NOW)).toBeNull();
  });
});

describe("grid", () => {
  it("lies on multiples of its step, so that points do not move between refreshes", () => {
    const { start, end, step } = grid({ from: "now-15m", to: "now" }, NOW);
    expect(step).toBe(3);
    expect(start % step).toBe(0);
    expect(end % step).toBe(0);
    expect(end).toBeLessThanOrEqual(NOW / 1000);
  });
  it("keeps every offered range within the points of a panel", () => {
    for (const seconds of [300, 900, 3600, 21_600, 86_400, 2_592_000, 400 * 86_400]) {
      expect(seconds / stepFor(seconds)).toBeLessThanOrEqual(320);
    }
  });
});

describe("sanitise", () => {
  it("falls back where the URL makes no sense", () => {
    expect(sanitise({})).toEqual(DEFAULT_RANGE);
    expect(sanitise({ from: "now", to: "now-1h" })).toEqual(DEFAULT_RANGE);
    expect(sanitise({ from: "now-6h", to: "now" })).toEqual({ from: "now-6h", to: "now" });
  });
});

describe("fillVariables", () => {
  it("fills Grafana's names", () => {
    expect(fillVariables("rate(x[$__rate_interval])", 900)).toBe("rate(x[1m])");
    expect(fillVariables("rate(x[$__rate_interval])", 86_400)).toBe("rate(x[20m])");
    expect(fillVariables("avg_over_time(x[$__interval:]) + y[$__range]", 900)).toBe(
      "avg_over_time(x[3s:]) + y[15m]",
    );
  });
});

describe("refreshEvery", () => {
  it("is live per grid step, and off for a range that has ended", () => {
    expect(refreshEvery("live", { from: "now-5m", to: "now" })).toBe(2000);
    expect(refreshEvery("live", { from: "now-1h", to: "now" })).toBe(15_000);
    expect(refreshEvery("10s", DEFAULT_RANGE)).toBe(10_000);
    expect(refreshEvery("off", DEFAULT_RANGE)).toBe(false);
    expect(refreshEvery("live", { from: "1749999000000", to: "1749999999999" })).toBe(false);
  });
});
