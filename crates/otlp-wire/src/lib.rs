//! otlp-wire
