// SPDX-License-Identifier: Apache-2.0
// The traces that came last; one opens to its spans.
import { Skeleton } from "@mantine/core";
import { useRecentTraces } from "../../api/hooks";
import type { Trace } from "../../api/types";
import { Copy } from "../../components/Copy";
import { SendData } from "../../components/SendData";
import { Stale, Trouble } from "../../components/Trouble";
import { clockMs, formatValue } from "../../lib/format";
import { usePageSearch, useSetSearch } from "../../state/view";
import { Filters } from "./Filters";
import styles from "./Recent.module.css";
import { waterfall } from "./waterfall";

const LIMIT = 100;

export function Traces() {
  const recent = useRecentTraces(LIMIT);
  const { q = "", service = "", trace: open } = usePageSearch();
  const set = useSetSearch();
  if (!recent.data) {
    return recent.error ? (
      <Trouble error={recent.error} onRetry={() => void recent.refetch()} />
    ) : (
      <Skeleton height={320} radius="md" />
    );
  }
  const { traces } = recent.data;
  if (traces.length === 0) return <SendData what="traces" />;
  const text = q.toLowerCase();
  const shown = traces.filter(
    (trace) =>
      (service === "" || trace.service === service || trace.spans.some((span) => span.service === service)) &&
      (text === "" ||
        trace.trace_id === text ||
        trace.spans.some((span) => span.name.toLowerCase().includes(text))),
  );
  const longest = shown.reduce((max, trace) => Math.max(max, trace.duration_ms), 0);
  return (
    <>
      <Filters services={traces.flatMap((trace) => trace.spans.map((span) => span.service))} what="traces">
        {shown.length} of the last {traces.length} traces
        {recent.error && <Stale since={recent.dataUpdatedAt} error={recent.error} />}
      </Filters>
      <ul className={styles.list} data-panel="traces">
        {shown.map((trace) => (
          <TraceRow
            key={trace.trace_id}
            trace={trace}
            longest={longest}
            open={trace.trace_id === open}
            onToggle={() => set({ trace: trace.trace_id === open ? undefined : trace.trace_id })}
          />
        ))}
      </ul>
    </>
  );
}

interface RowProps {
  trace: Trace;
  longest: number;
  open: boolean;
  onToggle: () => void;
}

function TraceRow({ trace, longest, open, onToggle }: RowProps) {
  const share = longest === 0 ? 0 : trace.duration_ms / longest;
  return (
    <li className={open ? styles.open : undefined}>
      <button type="button" className={styles.trace} aria-expanded={open} onClick={onToggle}>
        <span className={styles.time}>{clockMs(trace.start_ms)}</span>
        <span className={styles.what}>
          <span className={styles.service}>{trace.service}</span>
          <span className={styles.name}>{trace.root_name}</span>
          {trace.error && <span className={styles.error}>error</span>}
        </span>
        <span className={styles.spans}>{trace.span_count} spans</span>
        <span className={styles.duration}>
          <span className={styles.track} aria-hidden="true">
            <span className={trace.error ? styles.barBad : styles.bar} style={{ width: `${share * 100}%` }} />
          </span>
          {formatValue(trace.duration_ms, "milliseconds")}
        </span>
      </button>
      {open && <Spans trace={trace} />}
    </li>
  );
}

function Spans({ trace }: { trace: Trace }) {
  return (
    <div className={styles.detail}>
      <p className={styles.id}>
        trace <code>{trace.trace_id}</code> <Copy text={trace.trace_id} what="trace id" />
      </p>
      <ol className={styles.waterfall} aria-label="Spans">
        {waterfall(trace).map(({ span, depth, left, width }) => (
          <li key={span.span_id}>
            <span className={styles.label} style={{ paddingLeft: Math.min(depth, 12) * 14 }}>
              <span className={styles.name}>{span.name}</span>
              <span className={styles.by}>{span.service}</span>
            </span>
            <span className={styles.lane}>
              <span
                className={span.status === "error" ? styles.barBad : styles.bar}
                style={{ left: `${left * 100}%`, width: `${width * 100}%` }}
                aria-hidden="true"
              />
            </span>
            <span className={styles.length}>
              {span.status === "error" && <span className={styles.error}>error</span>}
              {formatValue(span.duration_ms, "milliseconds")}
            </span>
          </li>
        ))}
      </ol>
      {trace.spans.length < trace.span_count && (
        <p className={styles.id}>
          {trace.spans.length} of {trace.span_count} spans are shown.
        </p>
      )}
    </div>
  );
}
