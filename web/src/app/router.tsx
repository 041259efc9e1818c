// SPDX-License-Identifier: Apache-2.0
// Routes. Each page is its own chunk; the Overview's is asked for by the first paint.
import {
  createRootRoute,
  createRoute,
  createRouter,
  type ErrorComponentProps,
  Link,
  lazyRouteComponent,
} from "@tanstack/react-router";
import { Trouble } from "../components/Trouble";
import { parseSearch, printSearch, validateSearch } from "../state/search";
import { Shell } from "./Shell";

const root = createRootRoute({
  component: Shell,
  validateSearch,
  notFoundComponent: () => (
    <p>
      There is no such page. <Link to="/">Overview</Link>
    </p>
  ),
});

const pages = [
  createRoute({
    getParentRoute: () => root,
    path: "/",
    component: lazyRouteComponent(() => import("../pages/overview/Overview"), "Overview"),
  }),
  createRoute({
    getParentRoute: () => root,
    path: "/inference",
    component: lazyRouteComponent(() => import("../pages/inference/Inference"), "Inference"),
  }),
  createRoute({
    getParentRoute: () => root,
    path: "/explore",
    component: lazyRouteComponent(() => import("../pages/explore/Explore"), "Explore"),
  }),
  createRoute({
    getParentRoute: () => root,
    path: "/traces",
    component: lazyRouteComponent(() => import("../pages/recent/Traces"), "Traces"),
  }),
  createRoute({
    getParentRoute: () => root,
    path: "/logs",
    component: lazyRouteComponent(() => import("../pages/recent/Logs"), "Logs"),
  }),
] as const;

/** An error while drawing a page: say so and let people go on. */
function PageError({ error, reset }: ErrorComponentProps) {
  return <Trouble error={error instanceof Error ? error : new Error(String(error))} onRetry={reset} />;
}

export const router = createRouter({
  routeTree: root.addChildren(pages),
  parseSearch,
  stringifySearch: printSearch,
  defaultPreload: "intent",
  defaultErrorComponent: PageError,
  scrollRestoration: true,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
