// SPDX-License-Identifier: Apache-2.0
// The answer of an instant query, one row a series, values as the server printed them.
import { Skeleton } from "@mantine/core";
import { useInstant } from "../../api/hooks";
import type { QueryData } from "../../api/prometheus";
import { type Labels, seriesName } from "../../charts/frame";
import list from "../../components/ListPanel.module.css";
import { Box } from "../../components/Panel";
import { ScrollRegion } from "../../components/ScrollRegion";
import { Notes, Stale, Trouble } from "../../components/Trouble";
import { dateTime } from "../../lib/format";
import styles from "./Explore.module.css";

/** Rows that a page can hold and a person would read. */
const ROWS_MAX = 500;

export interface Row {
  labels: Labels;
  value: string;
}

/** Rows of any result type; a matrix (a range selector) shows its newest sample. */
export function rowsOf(data: QueryData): Row[] {
  switch (data.resultType) {
    case "vector":
      return data.result.map(({ metric, value }) => ({ labels: metric, value: value?.[1] ?? "histogram" }));
    case "matrix":
      return data.result.map(({ metric, values }) => ({
        labels: metric,
        value: values?.at(-1)?.[1] ?? "histogram",
      }));
    default:
      return [{ labels: {}, value: data.result[1] }];
  }
}

/** One column per label that any row has, in order of first sight, the metric's name first. */
export function columnsOf(rows: readonly Row[]): string[] {
  const names = new Set(rows.flatMap(({ labels }) => Object.keys(labels)));
  const named = names.delete("__name__");
  return [...(named ? ["__name__"] : []), ...names];
}

export function InstantTable({ expr }: { expr: string }) {
  const answer = useInstant(expr, true);
  const { data, error } = answer;
  if (!data) {
    return error ? (
      <Trouble error={error} onRetry={() => void answer.refetch()} />
    ) : (
      <Skeleton height={160} radius="md" />
    );
  }
  const rows = rowsOf(data.data);
  const columns = columnsOf(rows);
  return (
    <Box
      id="explore-table"
      title={`${rows.length} ${rows.length === 1 ? "row" : "rows"} at ${dateTime(data.time * 1000)}`}
      state={rows.length === 0 ? "empty" : "ready"}
      actions={
        <>
          <Notes warnings={data.warnings} infos={data.infos} />
          {error && <Stale since={answer.dataUpdatedAt} error={error} />}
        </>
      }
    >
      {rows.length === 0 ? (
        <p className={list.empty}>The query is fine, but no series matches it at this time.</p>
      ) : (
        <ScrollRegion className={`${list.scroll} ${styles.table}`} label="Result as a table">
          <table className={list.table}>
            <thead>
              <tr>
                {columns.map((name) => (
                  <th key={name} scope="col">
                    {name === "__name__" ? "metric" : name}
                  </th>
                ))}
                <th scope="col" className={list.value}>
                  Value
                </th>
              </tr>
            </thead>
            <tbody>
              {rows.slice(0, ROWS_MAX).map(({ labels, value }) => (
                <tr key={seriesName(labels)}>
                  {columns.map((name) => (
                    <td key={name}>{labels[name] ?? ""}</td>
                  ))}
                  <td className={list.value}>{value}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </ScrollRegion>
      )}
      {rows.length > ROWS_MAX && (
        <p className={list.empty}>
          {ROWS_MAX} of {rows.length} rows are shown. Narrow the query, or use topk().
        </p>
      )}
    </Box>
  );
}
