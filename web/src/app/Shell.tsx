// SPDX-License-Identifier: Apache-2.0
// The frame of every page: navigation at the side (on narrow screens on top), controls, the page.
import { MantineProvider } from "@mantine/core";
import { Link, Outlet, useRouterState } from "@tanstack/react-router";
import { useEffect } from "react";
import { ExploreIcon, InferenceIcon, LogsIcon, Mark, OverviewIcon, TracesIcon } from "../components/icons";
import { PRODUCT } from "../lib/product";
import { globalSearch } from "../state/search";
import { usePageSearch, useScheme } from "../state/view";
import { Controls } from "./Controls";
import styles from "./Shell.module.css";

export const PAGES = [
  { to: "/", name: "Overview", Icon: OverviewIcon },
  { to: "/inference", name: "Inference", Icon: InferenceIcon },
  { to: "/explore", name: "Explore", Icon: ExploreIcon },
  { to: "/traces", name: "Traces", Icon: TracesIcon },
  { to: "/logs", name: "Logs", Icon: LogsIcon },
] as const;

export function Shell() {
  const scheme = useScheme();
  return (
    // Mantine's variables and classes come from style sheets: the CSP allows no <style> elements.
    <MantineProvider forceColorScheme={scheme} withCssVariables={false} withGlobalClasses={false}>
      <a href="#page" className={styles.skip}>
        Skip to the page
      </a>
      <div className={styles.shell}>
        <Navigation />
        <Page />
      </div>
    </MantineProvider>
  );
}

function Navigation() {
  const search = globalSearch(usePageSearch());
  return (
    <nav className={styles.side} aria-label="Pages">
      <div className={styles.navigation}>
        <Link to="/" search={search} className={styles.brand}>
          <Mark />
          {PRODUCT}
        </Link>
        <ul>
          {PAGES.map(({ to, name, Icon }) => (
            <li key={to}>
              <Link
                to={to}
                search={search}
                activeOptions={{ exact: true, includeSearch: false }}
                className={styles.link}
              >
                <Icon />
                {name}
              </Link>
            </li>
          ))}
        </ul>
      </div>
    </nav>
  );
}

function Page() {
  const path = useRouterState({ select: (state) => state.location.pathname });
  const title = PAGES.find((page) => page.to === path)?.name ?? "Not found";
  useEffect(() => {
    document.title = `${title} \u00b7 ${PRODUCT}`;
  }, [title]);
  return (
    <div className={styles.page}>
      <header className={styles.bar}>
        <h1>{title}</h1>
        <Controls />
      </header>
      <main id="page" className={styles.main} tabIndex={-1}>
        <Outlet />
      </main>
    </div>
  );
}
