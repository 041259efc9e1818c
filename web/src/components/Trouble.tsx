// SPDX-License-Identifier: Apache-2.0
// What went wrong and what to do: for a page, a panel, or beside data that has grown old.
import { Button, Tooltip } from "@mantine/core";
import type { ReactNode } from "react";
import { ApiError } from "../api/http";
import { duration } from "../lib/format";
import { useNow } from "../state/view";
import { WarningIcon } from "./icons";
import styles from "./Trouble.module.css";

/** A sentence for people; the server's own text where it gave one. */
export function explain(error: Error): { title: string; text: string } {
  if (!(error instanceof ApiError)) return { title: "Something is wrong on this page", text: error.message };
  if (error.status === 0) return { title: "No answer", text: `${error.message}; still trying` };
  if (error.status === 401) {
    return {
      title: "Not signed in",
      text: "Open this page by the link with a token that the server printed when it started.",
    };
  }
  if (error.status < 500)
    return { title: error.type === "bad_data" ? "The query is wrong" : "Refused", text: error.message };
  return { title: "The server failed", text: error.message };
}

/** Asking again by hand is worth a button unless the answer is certain to be the same. */
function mayPass(error: Error): boolean {
  return (
    !(error instanceof ApiError) || error.status < 400 || error.status >= 500 || error.type !== "bad_data"
  );
}

export function Trouble({ error, onRetry }: { error: Error; onRetry?: () => void }) {
  const { title, text } = explain(error);
  return (
    <div className={styles.trouble} role="alert">
      <WarningIcon />
      <div>
        <strong>{title}</strong>
        <p>{text}</p>
        {onRetry && mayPass(error) && (
          <Button size="compact-xs" variant="default" onClick={onRetry}>
            Try again
          </Button>
        )}
      </div>
    </div>
  );
}

/** Data is shown but could not be renewed. */
export function Stale({ since, error }: { since: number; error: Error }) {
  const age = duration(Math.max(0, useNow() - since));
  const { title, text } = explain(error);
  return (
    <Tooltip label={`${title}: ${text}`} multiline maw={360}>
      <button type="button" className={styles.stale}>
        <WarningIcon size={12} /> stale {age}
      </button>
    </Tooltip>
  );
}

/** Prometheus' warnings and infos about an answer that is shown nevertheless. */
export function Notes({ warnings, infos }: { warnings: string[]; infos: string[] }): ReactNode {
  const all = [...warnings, ...infos];
  if (all.length === 0) return null;
  const kind = warnings.length > 0 ? "warning" : "info";
  return (
    <Tooltip label={all.join("\n")} multiline maw={420}>
      <button type="button" className={styles[kind]}>
        {all.length === 1 ? `1 ${kind}` : `${all.length} ${kind}s`}
      </button>
    </Tooltip>
  );
}
