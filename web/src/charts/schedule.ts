// SPDX-License-Identifier: Apache-2.0
// Spreads chart updates over animation frames, one chart each: a board of twelve that redraws in one task
// blocks the page for hundreds of milliseconds. Asking again before one's turn replaces the earlier work.

const waiting = new Map<object, () => void>();
let running = false;

function turn(): void {
  const next = waiting.entries().next();
  if (next.done) {
    running = false;
    return;
  }
  const [key, work] = next.value;
  waiting.delete(key);
  work();
  requestAnimationFrame(turn);
}

/** Runs `work` in a coming frame; at most one piece of work waits per `key`. */
export function schedule(key: object, work: () => void): void {
  waiting.set(key, work);
  if (running) return;
  running = true;
  requestAnimationFrame(turn);
}

/** Forgets what waits for `key`. */
export function cancel(key: object): void {
  waiting.delete(key);
}
