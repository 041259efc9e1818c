// SPDX-License-Identifier: Apache-2.0
// Selectors for metrics whose stored name may carry a unit or `_total`, depending on the way they came in
// (scraped, or translated from OTLP). One regex each, so that a page shows either.

/** A monotonic counter: `name` or `name_total`, with label matchers inside the braces. */
export function counter(name: string, matchers = ""): string {
  return `{__name__=~"${name}(_total)?"${matchers && `, ${matchers}`}}`;
}

/** A gauge: `name` or `name_<unit>`. */
export function gauge(name: string, unit: string, matchers = ""): string {
  return `{__name__=~"${name}(_${unit})?"${matchers && `, ${matchers}`}}`;
}

/** Per second, over the window that fits the page's range. */
export function rate(selector: string): string {
  return `rate(${selector}[$__rate_interval])`;
}

/** Quantile of a classic histogram; `by` is kept beside `le`. */
export function quantile(q: number, bucket: string, by: readonly string[] = []): string {
  return `histogram_quantile(${q}, sum by (${["le", ...by].join(", ")}) (${rate(bucket)}))`;
}

/** Share of `part` in `whole`; 0 where nothing of `part` was ever counted, absent where `whole` is. */
export function share(part: string, whole: string): string {
  const total = `sum(${rate(whole)})`;
  return `(sum(${rate(part)}) or 0 * ${total}) / (${total} > 0)`;
}
