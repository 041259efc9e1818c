// SPDX-License-Identifier: Apache-2.0
// Ask anything in PromQL: over the range as a graph, or at its end as a table.
import { Button, Tabs } from "@mantine/core";
import { lazy, Suspense, useEffect, useMemo, useRef, useState } from "react";
import { useFrames } from "../../api/hooks";
import { SERIES_MAX } from "../../charts/option";
import type { PanelSpec } from "../../charts/panel";
import { loadCharts } from "../../charts/TimeChart";
import { FramesPanel } from "../../components/ChartPanel";
import { PlayIcon } from "../../components/icons";
import { unitOf } from "../../lib/units";
import { usePageSearch, useScheme, useSetSearch } from "../../state/view";
import styles from "./Explore.module.css";
import { InstantTable } from "./InstantTable";

const PromqlEditor = lazy(async () => ({ default: (await import("./PromqlEditor")).PromqlEditor }));

const EXAMPLES = [
  {
    what: "What is being scraped or pushed",
    expr: 'sort_desc(count by (__name__) ({__name__!=""}))',
    tab: "table",
  },
  { what: "CPU that is not idle", expr: 'sum by (state) (system_cpu_utilization_ratio{state!="idle"})' },
  {
    what: "Requests per second by service",
    expr: "sum by (service_name) (rate(http_server_request_duration_seconds_count[5m]))",
  },
  {
    what: "95th percentile latency by service",
    expr: "histogram_quantile(0.95, sum by (le, service_name) (rate(http_server_request_duration_seconds_bucket[5m])))",
  },
] as const;

export function Explore() {
  const { q = "", tab } = usePageSearch();
  const set = useSetSearch();
  const [draft, setDraft] = useDraft(q);
  useEffect(() => void loadCharts(), []);
  const run = () => set({ q: draft.trim() === "" ? undefined : draft.trim() });

  return (
    <>
      <div className={styles.ask}>
        <div className={styles.editor}>
          <Editor draft={draft} onChange={setDraft} onRun={run} />
        </div>
        <Button size="sm" leftSection={<PlayIcon size={13} />} onClick={run}>
          Run
        </Button>
      </div>
      <p className={styles.keys}>
        <kbd>Enter</kbd> runs, <kbd>Shift</kbd>+<kbd>Enter</kbd> starts a line, <kbd>Ctrl</kbd>+
        <kbd>Space</kbd> completes
      </p>
      {q === "" ? (
        <Examples onChoose={(expr, chosenTab) => set({ q: expr, tab: chosenTab })} />
      ) : (
        <Tabs
          value={tab ?? "graph"}
          onChange={(next) => set({ tab: next === "table" ? "table" : undefined })}
          keepMounted={false}
        >
          <Tabs.List mb={12}>
            <Tabs.Tab value="graph">Graph</Tabs.Tab>
            <Tabs.Tab value="table">Table</Tabs.Tab>
          </Tabs.List>
          <Tabs.Panel value="graph">
            <Graph expr={q} />
          </Tabs.Panel>
          <Tabs.Panel value="table">
            <InstantTable expr={q} />
          </Tabs.Panel>
        </Tabs>
      )}
    </>
  );
}

/** What is being typed; follows the URL when that changes by itself (back, a link). */
function useDraft(q: string): [string, (draft: string) => void] {
  const [draft, setDraft] = useState(q);
  const seen = useRef(q);
  useEffect(() => {
    if (seen.current !== q) setDraft(q);
    seen.current = q;
  }, [q]);
  return [draft, setDraft];
}

interface EditorProps {
  draft: string;
  onChange: (draft: string) => void;
  onRun: () => void;
}

/** A plain box until the editor is there. */
function Editor({ draft, onChange, onRun }: EditorProps) {
  const scheme = useScheme();
  const plain = (
    <textarea
      className={styles.plain}
      rows={1}
      aria-label="PromQL query"
      value={draft}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
  return (
    <Suspense fallback={plain}>
      <PromqlEditor value={draft} scheme={scheme} onChange={onChange} onRun={onRun} />
    </Suspense>
  );
}

function Graph({ expr }: { expr: string }) {
  const spec = useMemo<PanelSpec>(
    () => ({
      id: "explore-graph",
      title: "Result",
      about: "The query over the page's range.",
      unit: unitOf(expr),
      queries: [{ expr }],
      needs: "The query is fine, but no series matches it in this range.",
    }),
    [expr],
  );
  const frames = useFrames(spec.queries);
  const count = frames.frame.series.length;
  const title =
    count === 0 ? "Result" : `${count} series${count > SERIES_MAX ? `, ${SERIES_MAX} shown` : ""}`;
  return <FramesPanel spec={{ ...spec, title }} frames={frames} className={styles.graph} />;
}

function Examples({ onChoose }: { onChoose: (expr: string, tab: string | undefined) => void }) {
  return (
    <section className={styles.examples} aria-label="Examples">
      <h2>Try one</h2>
      <ul>
        {EXAMPLES.map((example) => (
          <li key={example.expr}>
            <button
              type="button"
              onClick={() => onChoose(example.expr, "tab" in example ? example.tab : undefined)}
            >
              <span>{example.what}</span>
              <code>{example.expr}</code>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
