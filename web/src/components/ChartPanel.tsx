// SPDX-License-Identifier: Apache-2.0
// A panel with a time chart: asks its queries, draws them, or shows them as a table.
import { Button } from "@mantine/core";
import { useMemo, useState } from "react";
import { type Frames, useFrames } from "../api/hooks";
import type { Frame } from "../charts/frame";
import { colours, firstLines, type LineStyle, lines, SERIES_MAX, visibleLines } from "../charts/option";
import { PALETTES, type Palette } from "../charts/palette";
import type { PanelSpec } from "../charts/panel";
import { summarise } from "../charts/summary";
import { TimeChart } from "../charts/TimeChart";
import { useScheme, useZoom } from "../state/view";
import styles from "./ChartPanel.module.css";
import { DataTable } from "./DataTable";
import { Legend } from "./Legend";
import { Box, PanelActions, PanelBody, stateOf } from "./Panel";
import { TableToggle } from "./TableToggle";

interface Props {
  spec: PanelSpec;
  className?: string | undefined;
}

export function ChartPanel({ spec, className }: Props) {
  return <FramesPanel spec={spec} frames={useFrames(spec.queries)} className={className} />;
}

/** The same for frames that someone else fetched. */
export function FramesPanel({ spec, frames, className }: Props & { frames: Frames }) {
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
          <Plot spec={spec} frame={frames.frame} />
        )}
      </PanelBody>
    </Box>
  );
}

function Plot({ spec, frame }: { spec: PanelSpec; frame: Frame }) {
  const palette = PALETTES[useScheme()];
  const zoom = useZoom();
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const [all, setAll] = useState(false);
  const style = useStyle(spec, frame, palette);
  const count = lines(frame).length;
  const listed = useMemo(() => (all ? frame : firstLines(frame)), [frame, all]);
  const colour = useMemo(() => colours({ ...listed, series: lines(listed) }, palette), [listed, palette]);
  const shown = useMemo(() => visibleLines(listed, hidden, palette), [listed, hidden, palette]);

  return (
    <>
      <div className={styles.plot}>
        <TimeChart
          frame={shown}
          style={style}
          summary={summarise(spec.title, frame, spec.unit)}
          onZoom={zoom}
        />
      </div>
      <div className={styles.legend}>
        <Legend frame={listed} colours={colour} unit={spec.unit} hidden={hidden} onChange={setHidden} />
        {count > SERIES_MAX && (
          <Button size="compact-xs" variant="subtle" onClick={() => setAll(!all)}>
            {all ? `Show ${SERIES_MAX}` : `Show all ${count}`}
          </Button>
        )}
      </div>
    </>
  );
}

function useStyle(spec: PanelSpec, frame: Frame, palette: Palette): LineStyle {
  return useMemo(
    () => ({
      unit: spec.unit,
      palette,
      from: frame.times[0] ?? 0,
      to: frame.times.at(-1) ?? 0,
      ...(spec.area ? { area: true } : {}),
      ...(spec.zero ? { zero: true } : {}),
      ...(spec.threshold ? { threshold: spec.threshold } : {}),
    }),
    [spec, frame, palette],
  );
}
