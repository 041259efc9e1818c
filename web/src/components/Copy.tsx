// SPDX-License-Identifier: Apache-2.0
// Copying: a small button, and a command with one beside it.
import { ActionIcon, CopyButton } from "@mantine/core";
import styles from "./Copy.module.css";
import { CheckIcon, CopyIcon } from "./icons";
import { ScrollRegion } from "./ScrollRegion";

export function Copy({ text, what }: { text: string; what: string }) {
  return (
    <CopyButton value={text} timeout={1500}>
      {({ copied, copy }) => (
        <ActionIcon
          variant="subtle"
          color="gray"
          size="sm"
          onClick={copy}
          aria-label={copied ? "Copied" : `Copy ${what}`}
        >
          {copied ? <CheckIcon /> : <CopyIcon />}
        </ActionIcon>
      )}
    </CopyButton>
  );
}

/** Lines to paste into a terminal. */
export function Command({ text, what }: { text: string; what: string }) {
  return (
    <div className={styles.command}>
      <ScrollRegion className={styles.lines} label={what}>
        <pre>{text}</pre>
      </ScrollRegion>
      <Copy text={text} what={what} />
    </div>
  );
}
