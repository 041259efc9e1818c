// SPDX-License-Identifier: Apache-2.0
// Measured and predicted on one scale, as SVG: a chart for pages that do not wait for the chart library.
import { useMemo, useState } from "react";
import { useFrames } from "../api/hooks";
import type { Frame } from "../charts/frame";
import { colours, lines } from "../charts/option";
import { overlay } from "../charts/overlay";
import { PALETTES } from "../charts/palette";
import type { PanelSpec } from "../charts/panel";
import { summarise } from "../charts/summary";
import { axisTime, formatValue } from "../lib/format";
import { useScheme } from "../state/view";
import { DataTable } from "./DataTable";
import { Legend } from "./Legend";
import styles from "./OverlayPanel.module.css";
import { Box, PanelActions, PanelBody, stateOf } from "./Panel";
import { TableToggle } from "./TableToggle";

export function OverlayPanel({ spec, className }: { spec: PanelSpec; className?: string | undefined }) {
  const frames = useFrames(spec.queries);
  const [asTable, setAsTable] = useState(false);
  const state = stateOf(frames);
  return (
    <Box
      id={spec.id}
      title={spec.title}
      state={state}
      exprs={frames.exprs}
      className={className}
      actions={
        <>
          <PanelActions spec={spec} frames={frames} />
          <TableToggle title={spec.title} ready={state === "ready"} asTable={asTable} onChange={setAsTable} />
        </>
      }
    >
      <PanelBody state={state} frames={frames} needs={spec.needs}>
        {asTable ? (
          <div className={styles.table}>
            <DataTable frame={frames.frame} unit={spec.unit} title={spec.title} />
          </div>
        ) : (
          <Drawing spec={spec} frame={frames.frame} />
        )}
      </PanelBody>
    </Box>
  );
}

const WIDTH = 1000;
const HEIGHT = 150;
const NONE: ReadonlySet<string> = new Set();

function Drawing({ spec, frame }: { spec: PanelSpec; frame: Frame }) {
  const palette = PALETTES[useScheme()];
  const drawn = useMemo(() => overlay(frame, WIDTH, HEIGHT), [frame]);
  const colour = colours({ ...frame, series: lines(frame) }, palette);
  const first = frame.times[0] ?? 0;
  const last = frame.times.at(-1) ?? 0;
  return (
    <>
      <div className={styles.drawing}>
        <svg
          viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
          preserveAspectRatio="none"
          role="img"
          aria-label={summarise(spec.title, frame, spec.unit)}
        >
          {drawn.ticks.map(({ value, y }) => (
            <line
              key={value}
              x1="0"
              x2={WIDTH}
              y1={y}
              y2={y}
              className={styles.grid}
              vectorEffect="non-scaling-stroke"
            />
          ))}
          <path d={drawn.band} fill={palette.band} />
          {drawn.lines.map(({ series, path }, index) => (
            <path
              key={series.name}
              d={path}
              fill="none"
              stroke={colour[index]}
              strokeWidth={series.role === "predicted" ? 2.25 : 1.75}
              strokeDasharray={series.role === "predicted" ? "7 4" : undefined}
              strokeLinejoin="round"
              vectorEffect="non-scaling-stroke"
            />
          ))}
        </svg>
        <div className={styles.values} aria-hidden="true">
          {drawn.ticks.map(({ value, y }) => (
            <span key={value} style={{ top: `${(y / HEIGHT) * 100}%` }}>
              {formatValue(value, spec.unit)}
            </span>
          ))}
        </div>
        <div className={styles.times} aria-hidden="true">
          {[0, 0.25, 0.5, 0.75, 1].map((share) => (
            <span key={share}>{axisTime(first + share * (last - first), last - first)}</span>
          ))}
        </div>
      </div>
      <div className={styles.legend}>
        <Legend frame={frame} colours={colour} unit={spec.unit} hidden={NONE} />
      </div>
    </>
  );
}
