// SPDX-License-Identifier: Apache-2.0
// The names of a chart's lines with their newest values. A click shows one line alone, a second all again;
// with Ctrl (or Cmd, or Shift) it hides or shows that one.
import type { MouseEvent } from "react";
import { dataOf, type Frame, latest } from "../charts/frame";
import { interval, lines } from "../charts/option";
import { formatValue, type Unit } from "../lib/format";
import styles from "./Legend.module.css";

interface Props {
  frame: Frame;
  colours: string[];
  unit: Unit;
  hidden: ReadonlySet<string>;
  onChange: (hidden: ReadonlySet<string>) => void;
}

export function Legend({ frame, colours, unit, hidden, onChange }: Props) {
  const drawn = lines(frame);
  const band = interval(frame);
  const choose = (name: string, event: MouseEvent) => {
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
            <button
              type="button"
              className={styles.item}
              aria-pressed={!hidden.has(one.name)}
              onClick={(event) => choose(one.name, event)}
              title={one.name}
              {...dataOf(one, frame.times)}
            >
              <Swatch colour={colours[index] ?? ""} dashed={one.role === "predicted"} />
              <span className={styles.name}>{one.name}</span>
              <span className="number">{formatValue(now?.value, unit)}</span>
            </button>
          </li>
        );
      })}
      {band && (
        <li className={styles.item}>
          <svg width="16" height="10" aria-hidden="true">
            <rect width="16" height="10" rx="2" className={styles.band} />
          </svg>
          <span className={styles.name}>interval</span>
        </li>
      )}
    </ul>
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
