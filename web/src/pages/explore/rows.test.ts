// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { columnsOf, type Row, rowsOf } from "./InstantTable";

describe("the result table", () => {
  it("has a row for each series of every result type", () => {
    expect(rowsOf({ resultType: "scalar", result: [1, "2"] })).toEqual([{ labels: {}, value: "2" }]);
    expect(rowsOf({ resultType: "vector", result: [{ metric: { a: "1" }, value: [1, "3"] }] })).toEqual([
      { labels: { a: "1" }, value: "3" },
    ]);
    expect(
      rowsOf({
        resultType: "matrix",
        result: [
          {
            metric: {},
            values: [
              [1, "3"],
              [2, "4"],
            ],
          },
        ],
      })[0]?.value,
    ).toBe("4");
    expect(rowsOf({ resultType: "vector", result: [{ metric: {} }] })[0]?.value).toBe("histogram");
  });
  it("has a column for each label, the name first", () => {
    const rows: Row[] = [
      { labels: { job: "a", __name__: "up" }, value: "1" },
      { labels: { host: "b" }, value: "1" },
    ];
    expect(columnsOf(rows)).toEqual(["__name__", "job", "host"]);
  });
});
