// SPDX-License-Identifier: Apache-2.0
// The log records that came last, newest first.
import { Skeleton } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { useRecentLogs } from "../../api/hooks";
import type { LogRecord } from "../../api/types";
import { SendData } from "../../components/SendData";
import { Stale, Trouble } from "../../components/Trouble";
import { clockMs, dateTime } from "../../lib/format";
import { globalSearch } from "../../state/search";
import { usePageSearch } from "../../state/view";
import { Filters } from "./Filters";
import styles from "./Recent.module.css";
import { level } from "./severity";

const LIMIT = 200;

export function Logs() {
  const recent = useRecentLogs(LIMIT);
  const { q = "", service = "" } = usePageSearch();
  if (!recent.data) {
    return recent.error ? (
      <Trouble error={recent.error} onRetry={() => void recent.refetch()} />
    ) : (
      <Skeleton height={320} radius="md" />
    );
  }
  const { logs } = recent.data;
  if (logs.length === 0) return <SendData what="logs" />;
  const text = q.toLowerCase();
  const shown = logs.filter(
    (log) =>
      (service === "" || log.service === service) &&
      (text === "" || log.body.toLowerCase().includes(text) || log.trace_id === text),
  );
  return (
    <>
      <Filters services={logs.map((log) => log.service)} what="logs">
        {shown.length} of the last {logs.length} records
        {recent.error && <Stale since={recent.dataUpdatedAt} error={recent.error} />}
      </Filters>
      <ul className={styles.list} data-panel="logs">
        {keyed(shown).map(({ key, log }) => (
          <LogRow key={key} log={log} />
        ))}
      </ul>
    </>
  );
}

/** Records have no id: their content and, among equals, their order. */
function keyed(logs: LogRecord[]): { key: string; log: LogRecord }[] {
  const seen = new Map<string, number>();
  return logs.map((log) => {
    const content = `${log.time_ms} ${log.service} ${log.span_id} ${log.body}`;
    const copy = seen.get(content) ?? 0;
    seen.set(content, copy + 1);
    return { key: `${content} ${copy}`, log };
  });
}

function LogRow({ log }: { log: LogRecord }) {
  const [open, setOpen] = useState(false);
  return (
    <li className={open ? styles.open : undefined}>
      <button type="button" className={styles.log} aria-expanded={open} onClick={() => setOpen(!open)}>
        <span className={styles.time}>{clockMs(log.time_ms)}</span>
        <span className={`${styles.severity} ${styles[level(log.severity)] ?? ""}`}>
          {log.severity || "-"}
        </span>
        <span className={styles.service}>{log.service}</span>
        <span className={styles.body}>{log.body}</span>
      </button>
      {open && <Fields log={log} />}
    </li>
  );
}

function Fields({ log }: { log: LogRecord }) {
  const search = globalSearch(usePageSearch());
  const print = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));
  return (
    <div className={styles.detail}>
      <pre className={styles.full}>{log.body}</pre>
      <dl className={styles.fields}>
        <div>
          <dt>time</dt>
          <dd>{dateTime(log.time_ms)}</dd>
        </div>
        {log.trace_id && (
          <div>
            <dt>trace</dt>
            <dd>
              <Link to="/traces" search={{ ...search, trace: log.trace_id, q: log.trace_id }}>
                {log.trace_id}
              </Link>
            </dd>
          </div>
        )}
        {Object.entries(log.attributes).map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{print(value)}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}
