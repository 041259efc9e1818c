// SPDX-License-Identifier: Apache-2.0
// The product's name and the address it tells people, in one place.
export const PRODUCT = "Foreglow";

/** Where to send OTLP over HTTP: the host that this page came from, at the protocol's own port. */
export function otlpHttp(host: string): string {
  const local = host === "127.0.0.1" || host === "[::1]" ? "localhost" : host;
  return `http://${local}:4318`;
}
