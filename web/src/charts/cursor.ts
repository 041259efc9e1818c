// SPDX-License-Identifier: Apache-2.0
// The time under the pointer, shared by all charts of a page: each draws a line there.

type Listener = (timeMs: number | null, source: object) => void;

const listeners = new Set<Listener>();

/** Tells all charts where the pointer is; null when it left. */
export function moveCursor(timeMs: number | null, source: object): void {
  for (const listener of listeners) listener(timeMs, source);
}

/** Returns the call that ends it. */
export function onCursor(listener: Listener): () => void {
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
  };
}
