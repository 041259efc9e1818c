// SPDX-License-Identifier: Apache-2.0
// One way to ask the server: same origin, JSON, a deadline, errors that say whether asking again helps.

/** A failed answer. `status` 0 means that there was none (network down, deadline passed). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    /** Prometheus' `errorType` where it gave one. */
    readonly type: string,
    message: string,
  ) {
    super(message);
    this.name = "ApiError";
  }
}

/** Longer than any sensible query; the server has its own, shorter limit. */
const DEADLINE_MS = 60_000;
const RETRIES_MAX = 3;
/** Longest message shown in a panel. */
const MESSAGE_MAX = 500;

/** Network trouble and 5xx may pass; a 4xx will be the same next time. */
export function shouldRetry(failures: number, error: Error): boolean {
  if (failures >= RETRIES_MAX) return false;
  return !(error instanceof ApiError) || error.status === 0 || error.status >= 500;
}

/** 0.5, 1, 2 s, each half random, so that many panels do not ask in step. */
export function retryDelay(failures: number): number {
  return 500 * 2 ** failures * (0.5 + Math.random() / 2);
}

interface ErrorBody {
  error?: unknown;
  errorType?: unknown;
}

async function failure(response: Response): Promise<ApiError> {
  const text = await response.text().catch(() => "");
  let message = `${response.status} ${response.statusText}`.trim();
  let body: ErrorBody = {};
  try {
    body = JSON.parse(text) as ErrorBody;
    if (typeof body.error === "string") message = body.error;
  } catch {
    // Plain text says more than the status line, a proxy's HTML page does not.
    const isPlain = response.headers.get("content-type")?.startsWith("text/plain") === true;
    if (isPlain && text.trim() !== "") message = text.trim().slice(0, MESSAGE_MAX);
  }
  return new ApiError(response.status, typeof body.errorType === "string" ? body.errorType : "", message);
}

async function ask<T>(path: string, init: RequestInit, signal?: AbortSignal): Promise<T> {
  const deadline = AbortSignal.timeout(DEADLINE_MS);
  let response: Response;
  try {
    response = await fetch(path, {
      ...init,
      credentials: "same-origin",
      signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    const why = deadline.aborted
      ? `no answer within ${DEADLINE_MS / 1000} s`
      : "the server cannot be reached";
    throw new ApiError(0, deadline.aborted ? "timeout" : "network", why);
  }
  if (!response.ok) throw await failure(response);
  try {
    return (await response.json()) as T;
  } catch {
    throw new ApiError(response.status, "bad_answer", `${path} did not answer with JSON`);
  }
}

/** GET. */
export function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return ask<T>(path, { headers: { Accept: "application/json" } }, signal);
}

/** POST of a form, as Prometheus' clients do for queries: no limit on their length, no trace in access logs. */
export function postForm<T>(path: string, form: Record<string, string>, signal?: AbortSignal): Promise<T> {
  return ask<T>(
    path,
    { method: "POST", headers: { Accept: "application/json" }, body: new URLSearchParams(form) },
    signal,
  );
}
