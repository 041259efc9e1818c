// SPDX-License-Identifier: Apache-2.0
//! Receivers over real sockets.

mod otlp_bad_input;
mod otlp_grpc;
mod otlp_http;
mod otlp_secure;
mod otlpjsonfile;
mod prometheus;
mod support;
mod yaml;
