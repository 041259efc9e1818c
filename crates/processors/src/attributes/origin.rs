// SPDX-License-Identifier: Apache-2.0
//! `from_context`: a value out of what is known of the request that brought the batch.
//!
//! `metadata.<header>` (any case; kept by receivers with `include_metadata`), `auth.<attribute>`
//! (what the receiver's authenticator says), `client.address` (without the port); anything else is
//! the name of a header. Several values are joined by `;`. What is not known is not there. Source:
//! reference section 5.3.

use otlp_wire::{Asked, Origin};

/// What `from_context: text` asks for.
pub(crate) fn parse(text: &str) -> Asked {
    if text == "client.address" {
        Asked::Client
    } else if let Some(name) = text.strip_prefix("auth.") {
        Asked::Auth(name.to_owned())
    } else {
        let name = text.strip_prefix("metadata.").unwrap_or(text);
        Asked::Header(name.to_ascii_lowercase())
    }
}

/// The answer, if there is one.
pub(crate) fn answer(asked: &Asked, origin: &Origin<'_>) -> Option<String> {
    match asked {
        Asked::Header(name) => joined(origin.headers, name),
        Asked::Auth(name) => joined(origin.auth, name),
        // An IPv4 client of a socket for both families is told as IPv4, as in Go.
        Asked::Client => Some(origin.client?.ip().to_canonical().to_string()),
    }
}

fn joined(pairs: &[(String, String)], name: &str) -> Option<String> {
    let mut values = pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value);
    let mut text = values.next()?.clone();
    for value in values {
        text.push(';');
        text.push_str(value);
    }
    Some(text)
}
