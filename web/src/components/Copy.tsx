// SPDX-License-Identifier: Apache-2.0
// Copying: a small button, and a command with one beside it.
import { ActionIcon } from "@mantine/core";
import { useEffect, useState } from "react";
import { copyText } from "../lib/clipboard";
import styles from "./Copy.module.css";
import { CheckIcon, CopyIcon } from "./icons";
import { ScrollRegion } from "./ScrollRegion";

/** How long a button says that it did. */
const SAID_MS = 1500;

export function Copy({ text, what }: { text: string; what: string }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), SAID_MS);
    return () => clearTimeout(timer);
  }, [copied]);
  return (
    <ActionIcon
      variant="subtle"
      color="gray"
      size="sm"
      onClick={() => void copyText(text).then(setCopied)}
      aria-label={copied ? "Copied" : `Copy ${what}`}
    >
      {copied ? <CheckIcon /> : <CopyIcon />}
    </ActionIcon>
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
