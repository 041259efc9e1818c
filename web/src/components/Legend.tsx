// SPDX-License-Identifier: Apache-2.0
// The names of a chart's lines with their newest values. A click shows one line alone, a second all again;
// with Ctrl (or Cmd, or Shift) it hides or shows that one.
import type { MouseEvent } from "react";
import { dataOf, type Frame, latest, type Series } from "../charts/frame";
import { interval, lines } from "../charts/option";
import { formatValue, type Unit } from "../lib/format";
import styles from "./Legend.module.css";

interface Props {
  frame: Frame;
  colours: string[];
  unit: Unit;
  hidden: ReadonlySet<string>;
  /** Without it the legend only names. */
  onChange?: (hidden: ReadonlySet<string>) => void;
}

export function Legend({ frame, colours, unit, hidden, onChange }: Props) {
  const drawn = lines(frame);
  const band = interval(frame);
  const choose = (name: string, event: MouseEvent) => {
    if (onChange === undefined) return;
    if (event.ctrlKey || event.metaKey || event.shiftKey) {
      const next = new Set(hidden);
      if (!next.delete(name)) next.add(name);
      onChange(next);
      return;
    }
    const others = drawn.map((one) => one.name).filter((other) => other !== name);
    const alone = !hidden.has(name) && others.every((other) => hidden.has(other));
    onChange(new Set(alone ? [] : others));
  };
  return (
    <ul className={styles.legend}>
      {drawn.map((one, index) => {
        const now = latest(one.values);
        return (
          <li key={one.name}>
            <Item
              colour={colours[index] ?? ""}
              series={one}
              data={dataOf(one, frame.times)}
              value={formatValue(now?.value, unit)}
              pressed={!hidden.has(one.name)}
              onClick={onChange && ((event) => choose(one.name, event))}
            />
          </li>
        );
      })}
      {band && (
        <li className={styles.item}>
          <svg width="16" height="10" aria-hidden="true">
            <rect width="16" height="10" rx="2" className={styles.band} />
          </svg>
          <span className={styles.name}>interval</span>
          <span className="number">
            {formatValue(latest(band.lower.values)?.value, unit)} to{" "}
            {formatValue(latest(band.upper.values)?.value, unit)}
          </span>
        </li>
      )}
    </ul>
  );
}

interface ItemProps {
  series: Series;
  colour: string;
  value: string;
  pressed: boolean;
  data: Record<string, number | string>;
  onClick: ((event: MouseEvent) => void) | undefined;
}

function Item({ series, colour, value, pressed, data, onClick }: ItemProps) {
  const inside = (
    <>
      <Swatch colour={colour} dashed={series.role === "predicted"} />
      <span className={styles.name}>{series.name}</span>
      <span className="number">{value}</span>
    </>
  );
  return onClick ? (
    <button
      type="button"
      className={styles.item}
      aria-pressed={pressed}
      title={series.name}
      onClick={onClick}
      {...data}
    >
      {inside}
    </button>
  ) : (
    <span className={styles.item} title={series.name} {...data}>
      {inside}
    </span>
  );
}

function Swatch({ colour, dashed }: { colour: string; dashed: boolean }) {
  return (
    <svg width="16" height="10" aria-hidden="true">
      <line
        x1="1"
        x2="15"
        y1="5"
        y2="5"
        stroke={colour}
        strokeWidth="2.5"
        strokeLinecap={dashed ? "butt" : "round"}
        strokeDasharray={dashed ? "4 2" : undefined}
      />
    </svg>
  );
}
