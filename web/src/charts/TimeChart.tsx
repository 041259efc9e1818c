// SPDX-License-Identifier: Apache-2.0
// A time chart: ECharts in a box, a shared cursor, and dragging to zoom. It draws what `lineOption` says.
import { type PointerEvent as ReactPointerEvent, useEffect, useRef, useState } from "react";
import { moveCursor, onCursor } from "./cursor";
import type { Frame } from "./frame";
import { type LineStyle, lineOption, tooltipRows } from "./option";
import { cancel, schedule } from "./schedule";
import styles from "./TimeChart.module.css";

type Library = typeof import("./echarts");
type Chart = ReturnType<Library["init"]>;

let library: Promise<Library> | undefined;

/** Fetches the chart library once; pages call it early, charts wait for it. */
export function loadCharts(): Promise<Library> {
  library ??= import("./echarts");
  return library;
}

interface Props {
  frame: Frame;
  style: LineStyle;
  summary: string;
  /** A range was dragged, unix milliseconds. */
  onZoom?: (fromMs: number, toMs: number) => void;
}

/** Shorter drags are clicks. */
const DRAG_MIN_PX = 6;

export function TimeChart({ frame, style, summary, onZoom }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const cursor = useRef<HTMLDivElement>(null);
  const [chart, setChart] = useState<Chart | null>(null);

  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    let made: Chart | null = null;
    let gone = false;
    void loadCharts().then(({ init }) => {
      if (gone) return;
      made = init(element, null, { renderer: "canvas" });
      setChart(made);
    });
    return () => {
      gone = true;
      made?.dispose();
    };
  }, []);

  useDrawing(chart, box, frame, style);
  useSharedCursor(chart, cursor);
  const drag = useDrag(chart, onZoom);

  return (
    <div className={styles.chart} role="img" aria-label={summary} {...drag.handlers}>
      <div ref={box} className={styles.canvas} />
      <div ref={cursor} className={styles.cursor} hidden />
      {drag.selected && <div className={styles.selection} style={drag.selected} />}
    </div>
  );
}

/** Draws when the chart is on screen; what changed while it was not is drawn when it comes back. */
function useDrawing(
  chart: Chart | null,
  box: React.RefObject<HTMLDivElement | null>,
  frame: Frame,
  style: LineStyle,
): void {
  const draw = useRef<() => void>(() => {});
  const visible = useRef(true);

  useEffect(() => {
    if (chart === null) return;
    draw.current = () => {
      const fitting = { ...style, tooltipRows: tooltipRows(chart.getHeight()) };
      chart.setOption(lineOption(frame, fitting), { replaceMerge: ["series"] });
    };
    if (visible.current) schedule(chart, draw.current);
  }, [chart, frame, style]);

  useEffect(() => {
    const element = box.current;
    if (chart === null || element === null) return;
    const sight = new IntersectionObserver(([entry]) => {
      visible.current = entry?.isIntersecting ?? true;
      if (visible.current) schedule(chart, draw.current);
    });
    const size = new ResizeObserver(() => chart.resize());
    sight.observe(element);
    size.observe(element);
    return () => {
      sight.disconnect();
      size.disconnect();
      cancel(chart);
    };
  }, [chart, box]);
}

function useSharedCursor(chart: Chart | null, line: React.RefObject<HTMLDivElement | null>): void {
  useEffect(() => {
    if (chart === null) return;
    const renderer = chart.getZr();
    const move = ({ offsetX, offsetY }: { offsetX: number; offsetY: number }) => {
      const inside = chart.containPixel("grid", [offsetX, offsetY]);
      moveCursor(inside ? chart.convertFromPixel({ xAxisIndex: 0 }, offsetX) : null, chart);
    };
    const leave = () => moveCursor(null, chart);
    renderer.on("mousemove", move);
    renderer.on("globalout", leave);
    const end = onCursor((time, source) => {
      const element = line.current;
      if (element === null) return;
      const x =
        time === null || source === chart ? Number.NaN : chart.convertToPixel({ xAxisIndex: 0 }, time);
      element.hidden = !chart.containPixel("grid", [x, chart.getHeight() / 2]);
      if (!element.hidden) element.style.transform = `translateX(${x}px)`;
    });
    return () => {
      end();
      if (chart.isDisposed()) return;
      renderer.off("mousemove", move);
      renderer.off("globalout", leave);
    };
  }, [chart, line]);
}

function useDrag(chart: Chart | null, onZoom: Props["onZoom"]) {
  const start = useRef<number | null>(null);
  const [selected, setSelected] = useState<{ left: number; width: number } | null>(null);
  const position = (event: ReactPointerEvent<HTMLElement>) =>
    event.clientX - event.currentTarget.getBoundingClientRect().left;

  const handlers = {
    onPointerDown: (event: ReactPointerEvent<HTMLElement>) => {
      // Touch drags scroll the page.
      if (onZoom && event.button === 0 && event.pointerType === "mouse") start.current = position(event);
    },
    onPointerMove: (event: ReactPointerEvent<HTMLElement>) => {
      if (start.current === null) return;
      const x = position(event);
      setSelected({ left: Math.min(x, start.current), width: Math.abs(x - start.current) });
    },
    onPointerUp: (event: ReactPointerEvent<HTMLElement>) => {
      const from = start.current;
      const to = position(event);
      start.current = null;
      setSelected(null);
      if (chart === null || from === null || Math.abs(to - from) < DRAG_MIN_PX) return;
      const time = (x: number) => Math.round(chart.convertFromPixel({ xAxisIndex: 0 }, x));
      onZoom?.(time(Math.min(from, to)), time(Math.max(from, to)));
    },
    onPointerLeave: () => {
      start.current = null;
      setSelected(null);
    },
  };
  return { handlers, selected };
}
