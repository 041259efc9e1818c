// SPDX-License-Identifier: Apache-2.0
// Switches a panel between its drawing and the same numbers as a table.
import { ActionIcon } from "@mantine/core";
import { ChartIcon, TableIcon } from "./icons";
import styles from "./TableToggle.module.css";

interface Props {
  title: string;
  /** There is something to show. */
  ready: boolean;
  asTable: boolean;
  onChange: (asTable: boolean) => void;
}

export function TableToggle({ title, ready, asTable, onChange }: Props) {
  const name = asTable ? `View ${title} as chart` : `View ${title} as table`;
  return (
    <ActionIcon
      variant="subtle"
      color="gray"
      size="sm"
      disabled={!ready}
      className={styles.toggle ?? ""}
      aria-pressed={asTable}
      aria-label={name}
      title={name}
      onClick={() => onChange(!asTable)}
    >
      {asTable ? <ChartIcon /> : <TableIcon />}
    </ActionIcon>
  );
}
