// SPDX-License-Identifier: Apache-2.0
// A titled box around a chart or a list, with its states: loading, empty, wrong, stale, ready.
import { ActionIcon, Popover, Skeleton } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { type ReactNode, useId } from "react";
import type { Frames } from "../api/hooks";
import { isEmpty } from "../charts/frame";
import type { PanelSpec } from "../charts/panel";
import { globalSearch } from "../state/search";
import { usePageSearch } from "../state/view";
import { Copy } from "./Copy";
import { HelpIcon } from "./icons";
import styles from "./Panel.module.css";
import { Notes, Stale, Trouble } from "./Trouble";

export type PanelState = "loading" | "error" | "empty" | "ready";

export function stateOf(frames: Frames): PanelState {
  if (!isEmpty(frames.frame)) return "ready";
  if (frames.error) return "error";
  return frames.loading ? "loading" : "empty";
}

interface BoxProps {
  id: string;
  title: string;
  actions?: ReactNode;
  children: ReactNode;
  state?: PanelState;
  exprs?: string[];
  className?: string | undefined;
}

/** The box alone. */
export function Box({ id, title, actions, children, state = "ready", exprs, className = "" }: BoxProps) {
  const heading = useId();
  return (
    <section
      className={`${styles.panel} ${className}`}
      aria-labelledby={heading}
      data-panel={id}
      data-state={state}
      data-exprs={exprs && JSON.stringify(exprs)}
    >
      <header className={styles.header}>
        <h3 id={heading}>{title}</h3>
        <div className={styles.actions}>{actions}</div>
      </header>
      {children}
    </section>
  );
}

/** Badges and help of a panel that shows queries. */
export function PanelActions({ spec, frames }: { spec: PanelSpec; frames: Frames }) {
  return (
    <>
      <Notes warnings={frames.warnings} infos={frames.infos} />
      {frames.error && frames.updatedAt > 0 && <Stale since={frames.updatedAt} error={frames.error} />}
      <Help spec={spec} exprs={frames.exprs} />
    </>
  );
}

function Help({ spec, exprs }: { spec: PanelSpec; exprs: string[] }) {
  const search = usePageSearch();
  return (
    <Popover width={420} position="bottom-end" withArrow shadow="md" trapFocus>
      <Popover.Target>
        <ActionIcon variant="subtle" color="gray" size="sm" aria-label={`About ${spec.title}`}>
          <HelpIcon />
        </ActionIcon>
      </Popover.Target>
      <Popover.Dropdown className={styles.help ?? ""}>
        <p>{spec.about}</p>
        {exprs.map((expr) => (
          <div key={expr} className={styles.query}>
            <code>{expr}</code>
            <div>
              <Link to="/explore" search={{ ...globalSearch(search), q: expr }}>
                Explore
              </Link>
              <Copy text={expr} what="query" />
            </div>
          </div>
        ))}
      </Popover.Dropdown>
    </Popover>
  );
}

interface BodyProps {
  state: PanelState;
  frames: Frames;
  needs?: string | undefined;
  children: ReactNode;
}

/** The inside of a panel, by state. */
export function PanelBody({ state, frames, needs, children }: BodyProps) {
  if (state === "loading")
    return <Skeleton className={styles.skeleton ?? ""} radius="md" aria-label="Loading" />;
  if (state === "error" && frames.error) {
    return (
      <div className={styles.inset}>
        <Trouble error={frames.error} onRetry={frames.retry} />
      </div>
    );
  }
  if (state === "empty") {
    return (
      <div className={styles.empty}>
        <strong>No data in this range</strong>
        {needs && <p>{needs}</p>}
      </div>
    );
  }
  return children;
}
