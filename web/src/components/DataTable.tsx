// SPDX-License-Identifier: Apache-2.0
// A frame as a table, newest first: the same numbers as the chart, for those who cannot or will not see it.

import type { Frame } from "../charts/frame";
import { lines } from "../charts/option";
import { clock, dateTime, formatValue, type Unit } from "../lib/format";
import styles from "./DataTable.module.css";
import { ScrollRegion } from "./ScrollRegion";

/** More rows than these are for an export, not for reading. */
const ROWS_MAX = 100;
const DAY_MS = 86_400_000;

export function DataTable({ frame, unit, title }: { frame: Frame; unit: Unit; title: string }) {
  const columns = [
    ...lines(frame),
    ...frame.series.filter((one) => one.role === "lower" || one.role === "upper"),
  ];
  const indexes = Array.from(frame.times.keys())
    .filter((index) => columns.some((one) => !Number.isNaN(one.values[index] ?? Number.NaN)))
    .reverse()
    .slice(0, ROWS_MAX);
  const length = (frame.times.at(-1) ?? 0) - (frame.times[0] ?? 0);
  const print = length > DAY_MS ? dateTime : clock;
  return (
    <ScrollRegion className={styles.scroll} label={`${title} as a table`}>
      <table className={styles.table}>
        <thead>
          <tr>
            <th scope="col">Time</th>
            {columns.map((one) => (
              <th key={one.name} scope="col" className={styles.value}>
                {one.name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {indexes.map((index) => (
            <tr key={index}>
              <th scope="row">{print(frame.times[index] ?? 0)}</th>
              {columns.map((one) => (
                <td key={one.name} className={styles.value}>
                  {formatValue(one.values[index], unit)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </ScrollRegion>
  );
}
