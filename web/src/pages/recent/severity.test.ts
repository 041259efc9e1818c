// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { level } from "./severity";

it.each([
  ["ERROR", "bad"],
  ["Fatal3", "bad"],
  ["critical", "bad"],
  ["WARN", "warn"],
  ["Warning", "warn"],
  ["INFO", "plain"],
  ["", "plain"],
  ["Debug", "quiet"],
  ["TRACE2", "quiet"],
])("the severity %s is %s", (severity, expected) => expect(level(severity)).toBe(expected));
