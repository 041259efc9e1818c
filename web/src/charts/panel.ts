// SPDX-License-Identifier: Apache-2.0
// What a panel is, as data: pages are tables of these.
import type { Query } from "../api/hooks";
import type { Unit } from "../lib/format";
import type { Threshold } from "./option";

export interface PanelSpec {
  /** Stable: tests and links use it. */
  id: string;
  title: string;
  /** One or two sentences: what it shows and how to read it. */
  about: string;
  unit: Unit;
  queries: readonly Query[];
  area?: boolean;
  zero?: boolean;
  threshold?: Threshold;
  /** What has to be there for this panel to have data. */
  needs?: string;
}
