// SPDX-License-Identifier: Apache-2.0
import { afterEach, describe, expect, it, vi } from "vitest";
import { ApiError, get, postForm, shouldRetry } from "./http";

afterEach(() => vi.unstubAllGlobals());

function answer(status: number, body: string) {
  vi.stubGlobal(
    "fetch",
    vi.fn(
      async () => new Response(body, { status, statusText: "Odd", headers: { "content-type": "text/html" } }),
    ),
  );
}

describe("shouldRetry", () => {
  it("asks again three times after network trouble and 5xx, never after 4xx", () => {
    const busy = new ApiError(503, "timeout", "busy");
    expect([0, 1, 2, 3].map((failures) => shouldRetry(failures, busy))).toEqual([true, true, true, false]);
    expect(shouldRetry(0, new ApiError(0, "network", "down"))).toBe(true);
    for (const status of [400, 401, 404, 422])
      expect(shouldRetry(0, new ApiError(status, "", ""))).toBe(false);
  });
});

describe("errors", () => {
  it("carry Prometheus' type and text", async () => {
    answer(400, '{"status":"error","errorType":"bad_data","error":"1:3: parse error"}');
    await expect(get("/api/v1/query")).rejects.toMatchObject({
      status: 400,
      type: "bad_data",
      message: "1:3: parse error",
    });
  });
  it("fall back to the status line for a proxy's page", async () => {
    answer(502, "<html>");
    await expect(get("/x")).rejects.toMatchObject({ status: 502, message: "502 Odd" });
  });
  it("carry a plain text as it is", async () => {
    const headers = { "content-type": "text/plain; charset=utf-8" };
    vi.stubGlobal(
      "fetch",
      vi.fn(async () => new Response("host is not allowed\n", { status: 403, headers })),
    );
    await expect(get("/x")).rejects.toMatchObject({ status: 403, message: "host is not allowed" });
  });
  it("name a body that is not JSON", async () => {
    answer(200, "<html>");
    await expect(get("/x")).rejects.toMatchObject({ type: "bad_answer" });
  });
  it("tell an unreachable server apart", async () => {
    vi.stubGlobal(
      "fetch",
      vi.fn(async () => Promise.reject(new TypeError("failed to fetch"))),
    );
    await expect(get("/x")).rejects.toMatchObject({ status: 0, type: "network" });
  });
});

describe("postForm", () => {
  it("sends a form on the same origin", async () => {
    answer(200, "{}");
    await postForm("/api/v1/query", { query: 'up{a="b"}' });
    const [path, init] = vi.mocked(fetch).mock.calls[0] ?? [];
    expect(path).toBe("/api/v1/query");
    expect(init?.method).toBe("POST");
    expect(init?.credentials).toBe("same-origin");
    expect(String(init?.body)).toBe("query=up%7Ba%3D%22b%22%7D");
  });
});
