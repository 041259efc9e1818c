// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { ago, digits, duration, formatValue, type Unit } from "./format";

describe("formatValue", () => {
  const cases: [number | null, Unit, string][] = [
    [null, "count", "\u2013"],
    [Number.NaN, "seconds", "\u2013"],
    [Number.POSITIVE_INFINITY, "count", "+Inf"],
    [0, "count", "0"],
    [12, "count", "12"],
    [999.9, "count", "1 k"],
    [48_213, "per_second", "48.2 k/s"],
    [0.9998, "ratio", "100 %"],
    [0.0312, "ratio", "3.12 %"],
    [0.0031, "seconds", "3.1 ms"],
    [0.0000456, "seconds", "45.6 \u00b5s"],
    [1.5, "seconds", "1.5 s"],
    [3661, "seconds", "1 h 1 m"],
    [182.4, "milliseconds", "182 ms"],
    [62_914_560, "bytes", "60 MiB"],
    [-4200, "count", "-4.2 k"],
  ];
  it.each(cases)("prints %s as %s", (value, unit, text) => {
    expect(formatValue(value, unit)).toBe(text);
  });
});

describe("digits", () => {
  it.each([
    [100, "100"],
    [1234, "1234"],
    [0.5, "0.5"],
    [0.00001, "1.0e-5"],
  ])("keeps three significant digits of %s", (value, text) => {
    expect(digits(value)).toBe(text);
  });
});

describe("durations", () => {
  it("keeps the two largest parts", () => {
    expect(duration(93_784_000)).toBe("1 d 2 h");
    expect(duration(184_000)).toBe("3 m 4 s");
    expect(duration(60_000)).toBe("1 m");
    expect(duration(250)).toBe("250 ms");
  });
  it("skips to the next part only when adjacent", () => {
    expect(duration(86_400_000 + 5000)).toBe("1 d");
  });
  it("says how long ago in one part", () => {
    expect(ago(1000, 2000)).toBe("now");
    expect(ago(0, 12_000)).toBe("12 s ago");
    expect(ago(0, 3_700_000)).toBe("1 h ago");
  });
});
