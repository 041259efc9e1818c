// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { unitOf } from "./units";

it.each([
  ["system_memory_usage_bytes", "bytes"],
  ['sum by (state) (system_cpu_utilization_ratio{state!="idle"})', "ratio"],
  [
    "histogram_quantile(0.95, sum by (le) (rate(http_server_request_duration_seconds_bucket[5m])))",
    "seconds",
  ],
  ["max_over_time(http_request_duration_ms[5m])", "milliseconds"],
  ["rate(node_network_receive_bytes_total[5m])", "count"],
  ["a_bytes / b_bytes", "count"],
  ["a_bytes - b_bytes", "bytes"],
  ["a_bytes or b_seconds", "count"],
  ["count(a_bytes)", "count"],
  ["up", "count"],
  ['{__name__="a_bytes"}', "count"],
])("the values of %s are %s", (expr, unit) => expect(unitOf(expr)).toBe(unit));
