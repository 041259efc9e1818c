// SPDX-License-Identifier: Apache-2.0
//! One error for the whole product: its [`Kind`] is what the caller should do,
//! its text is for a person.
//!
//! A kind is added only when some caller acts differently on it. The table that turns a kind
//! into a gRPC code, an HTTP status and a retry decision is [`Kind::grpc_code`],
//! [`Kind::http_status`] and [`Kind::is_retryable`]; nothing else may decide these.

use std::fmt;
use std::time::Duration;

/// A message as `grpc-message` may carry it: printable ASCII; the rest, and `%`, is percent-encoded
/// UTF-8.
pub fn grpc_message(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(byte as char),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// What the caller should do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Try the same thing again, not before `after` if the peer named a time.
    Retry {
        /// Shortest wait the peer asked for.
        after: Option<Duration>,
    },
    /// A bound of ours is reached (queue, memory, log): slow down and try again.
    Overloaded,
    /// Never retry: the same data will be refused again.
    Rejected,
    /// The input or configuration is wrong; a person has to change it.
    Invalid,
    /// Bytes that were written by us no longer check out.
    Corrupt,
    /// The component is stopping or has stopped; nothing was done.
    Closed,
}

impl Kind {
    /// True when the same request may succeed later.
    pub fn is_retryable(self) -> bool {
        matches!(self, Kind::Retry { .. } | Kind::Overloaded | Kind::Closed)
    }

    /// The gRPC status code (`google.rpc.Code`) a receiver answers with.
    ///
    /// Retryable kinds are UNAVAILABLE (14), which every OTLP client retries; RESOURCE_EXHAUSTED
    /// would be dropped by clients that see no RetryInfo.
    pub fn grpc_code(self) -> i32 {
        match self {
            Kind::Retry { .. } | Kind::Overloaded | Kind::Closed => 14,
            Kind::Rejected | Kind::Corrupt => 13,
            Kind::Invalid => 3,
        }
    }

    /// The HTTP status an OTLP/HTTP receiver answers with.
    pub fn http_status(self) -> u16 {
        match self {
            Kind::Retry { .. } | Kind::Overloaded | Kind::Closed => 503,
            Kind::Rejected | Kind::Corrupt => 500,
            Kind::Invalid => 400,
        }
    }

    /// Short name, used as a metric label and in log lines.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Retry { .. } => "retry",
            Kind::Overloaded => "overloaded",
            Kind::Rejected => "rejected",
            Kind::Invalid => "invalid",
            Kind::Corrupt => "corrupt",
            Kind::Closed => "closed",
        }
    }
}

/// A classified failure with a message for people and the error that caused it.
#[derive(Debug, Clone)]
pub struct Error {
    kind: Kind,
    message: String,
    source: Option<std::sync::Arc<dyn std::error::Error + Send + Sync>>,
}

/// Shorthand used by every crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure of `kind`; `message` is lower case, has no full stop and holds what is needed to act.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), source: None }
    }

    /// Shorthand for [`Kind::Retry`] without a named wait.
    pub fn retry(message: impl Into<String>) -> Self {
        Error::new(Kind::Retry { after: None }, message)
    }

    /// Shorthand for [`Kind::Overloaded`].
    pub fn overloaded(message: impl Into<String>) -> Self {
        Error::new(Kind::Overloaded, message)
    }

    /// Shorthand for [`Kind::Rejected`].
    pub fn rejected(message: impl Into<String>) -> Self {
        Error::new(Kind::Rejected, message)
    }

    /// Shorthand for [`Kind::Invalid`].
    pub fn invalid(message: impl Into<String>) -> Self {
        Error::new(Kind::Invalid, message)
    }

    /// Shorthand for [`Kind::Corrupt`].
    pub fn corrupt(message: impl Into<String>) -> Self {
        Error::new(Kind::Corrupt, message)
    }

    /// Shorthand for [`Kind::Closed`].
    pub fn closed(message: impl Into<String>) -> Self {
        Error::new(Kind::Closed, message)
    }

    /// The same error with the error that caused it.
    pub fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(std::sync::Arc::new(source));
        self
    }

    /// The same error, its message prefixed by where it happened: `context: message`.
    pub fn within(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }

    /// What the caller should do.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The message alone, without the cause.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "{}: {source}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|s| s.as_ref() as _)
    }
}
