// SPDX-License-Identifier: Apache-2.0
//! `Accept-Encoding`: what a client takes, best first (RFC 9110, section 12.5.3).

use axum::http::HeaderValue;
use axum::http::header::GetAll;

/// How a file is stored and sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Brotli, quality 11: the smallest.
    Brotli,
    /// Gzip, level 9.
    Gzip,
    /// As it is.
    Identity,
}

impl Encoding {
    /// In the order of size: ties among equal wishes go to the smaller answer.
    const ALL: [Self; 3] = [Self::Brotli, Self::Gzip, Self::Identity];

    /// What the file's name ends with in this form.
    pub(super) fn ending(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Gzip => ".gz",
            Self::Identity => "",
        }
    }

    /// Its name in `Content-Encoding`; none for identity.
    pub(super) fn token(self) -> Option<&'static str> {
        match self {
            Self::Brotli => Some("br"),
            Self::Gzip => Some("gzip"),
            Self::Identity => None,
        }
    }

    fn named(self, token: &str) -> bool {
        match self {
            Self::Brotli => token == "br",
            Self::Gzip => token == "gzip" || token == "x-gzip",
            Self::Identity => token == "identity",
        }
    }
}

/// Weight of each encoding in thousandths, in the order of [`Encoding::ALL`]; 0 = refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wishes([u16; 3]);

impl Wishes {
    /// Reads all header lines. Without any, only identity is taken.
    pub(super) fn of(lines: GetAll<'_, HeaderValue>) -> Self {
        let mut named: [Option<u16>; 3] = [None; 3];
        let mut rest: Option<u16> = None;
        let entries = lines.iter().filter_map(|line| line.to_str().ok());
        for (token, weight) in entries.flat_map(|line| line.split(',')).map(entry) {
            if token == "*" {
                rest = Some(weight);
            }
            for (slot, encoding) in named.iter_mut().zip(Encoding::ALL) {
                if encoding.named(&token) {
                    *slot = Some(weight);
                }
            }
        }
        // Identity is welcome unless refused, but after everything that was asked for.
        let unnamed = [rest.unwrap_or(0), rest.unwrap_or(0), rest.unwrap_or(1)];
        Self(std::array::from_fn(|index| named[index].unwrap_or(unnamed[index])))
    }

    /// The accepted encodings, best first.
    pub(super) fn in_order(&self) -> impl Iterator<Item = Encoding> {
        let mut order: Vec<(u16, Encoding)> =
            self.0.into_iter().zip(Encoding::ALL).filter(|(weight, _)| *weight > 0).collect();
        order.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
        order.into_iter().map(|(_, encoding)| encoding)
    }
}

/// `gzip;q=0.5` -> (`gzip`, 500). A weight that is none counts as 1.
fn entry(text: &str) -> (String, u16) {
    let mut parts = text.split(';').map(str::trim);
    let token = parts.next().unwrap_or("").to_ascii_lowercase();
    let weight = parts
        .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
        .and_then(|number| number.parse::<f32>().ok())
        .map_or(1000, |number| (number.clamp(0.0, 1.0) * 1000.0) as u16);
    (token, weight)
}
