// SPDX-License-Identifier: Apache-2.0
// The time range: five usual ones and a custom one.
import { Button, Popover, TextInput } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { ChevronIcon, ClockIcon } from "../components/icons";
import { dateTime } from "../lib/format";
import { DEFAULT_RANGE, instant, isLive, RANGES, type TimeRange } from "../state/time";
import { useSetSearch, useView } from "../state/view";
import styles from "./RangePicker.module.css";

const NAMES: Record<string, string> = {
  "5m": "Last 5 minutes",
  "15m": "Last 15 minutes",
  "1h": "Last hour",
  "6h": "Last 6 hours",
  "24h": "Last 24 hours",
};

function describe(range: TimeRange): string {
  const relative = isLive(range) ? range.from.replace("now-", "") : "";
  if (relative !== "") return NAMES[relative] ?? `Last ${relative}`;
  const now = Date.now();
  const end = (text: string) => dateTime(instant(text, now) ?? now).slice(5, 16);
  return `${end(range.from)} \u2013 ${end(range.to)}`;
}

export function RangePicker() {
  const { range } = useView();
  const set = useSetSearch();
  const [opened, setOpened] = useState(false);
  const choose = (next: TimeRange) => {
    const same = next.from === DEFAULT_RANGE.from && next.to === DEFAULT_RANGE.to;
    set(same ? { from: undefined, to: undefined } : { ...next });
    setOpened(false);
  };
  return (
    <Popover opened={opened} onChange={setOpened} position="bottom-end" shadow="md" trapFocus width={280}>
      <Popover.Target>
        <Button
          variant="default"
          size="xs"
          leftSection={<ClockIcon size={14} />}
          rightSection={<ChevronIcon size={14} />}
          onClick={() => setOpened(!opened)}
          aria-label={`Time range: ${describe(range)}`}
        >
          {describe(range)}
        </Button>
      </Popover.Target>
      <Popover.Dropdown>
        <ul className={styles.list}>
          {RANGES.map((name) => {
            const chosen = range.from === `now-${name}` && isLive(range);
            return (
              <li key={name}>
                <button
                  type="button"
                  aria-current={chosen}
                  onClick={() => choose({ from: `now-${name}`, to: "now" })}
                >
                  {NAMES[name]}
                  <span>{name}</span>
                </button>
              </li>
            );
          })}
        </ul>
        <Custom range={range} onChoose={choose} />
      </Popover.Dropdown>
    </Popover>
  );
}

/** Local time as `datetime-local` inputs want it. */
function inputTime(ms: number): string {
  return dateTime(ms).replace(" ", "T");
}

function Custom({ range, onChoose }: { range: TimeRange; onChoose: (range: TimeRange) => void }) {
  const now = Date.now();
  const [from, setFrom] = useState(() => inputTime(instant(range.from, now) ?? now));
  const [to, setTo] = useState(() => inputTime(instant(range.to, now) ?? now));
  const start = new Date(from).getTime();
  const end = new Date(to).getTime();
  const wrong = !(start < end);
  const apply = (event: FormEvent) => {
    event.preventDefault();
    if (!wrong) onChoose({ from: String(start), to: String(end) });
  };
  return (
    <form className={styles.custom} onSubmit={apply}>
      <strong>Custom range</strong>
      <TextInput
        size="xs"
        type="datetime-local"
        step={1}
        label="From"
        value={from}
        onChange={(event) => setFrom(event.currentTarget.value)}
      />
      <TextInput
        size="xs"
        type="datetime-local"
        step={1}
        label="To"
        value={to}
        error={wrong ? "must be after From" : undefined}
        onChange={(event) => setTo(event.currentTarget.value)}
      />
      <Button type="submit" size="xs" disabled={wrong}>
        Apply
      </Button>
    </form>
  );
}
