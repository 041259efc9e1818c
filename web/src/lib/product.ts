// SPDX-License-Identifier: Apache-2.0
// The product's name and the addresses it tells people, in one place.
export const PRODUCT = "Foreglow";
export const OTLP_HTTP = "http://localhost:4318";
export const OTLP_GRPC = "localhost:4317";
