// SPDX-License-Identifier: Apache-2.0
//! What a scraper takes: format by `Accept`, compression by `Accept-Encoding`, both with quality.
//!
//! OpenMetrics only when the configuration allows it and the scraper prefers it; without a header,
//! or with one that names nothing of ours, Prometheus' text. Source: RFC 9110 12.5, Prometheus
//! "content negotiation", client_golang's expfmt.

use http::HeaderMap;
use http::header::{ACCEPT, ACCEPT_ENCODING};

use super::text::Form;

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub form: Form,
    pub gzip: bool,
}

impl Wanted {
    /// By the headers of a request.
    pub fn of(headers: &HeaderMap, open_metrics: bool, utf8: bool) -> Wanted {
        let text = |name| headers.get_all(name).iter().filter_map(|v| v.to_str().ok());
        let all: Vec<&str> = text(ACCEPT).collect();
        let all = all.join(",");
        let best = all.split(',').filter_map(|one| Kind::read(one, open_metrics)).reduce(|a, b| {
            // Of equals the first one.
            if b.quality > a.quality { b } else { a }
        });
        let best = best.unwrap_or_default();
        let form = Form { open_metrics: best.open_metrics, utf8: utf8 && best.utf8 };
        let encodings: Vec<&str> = text(ACCEPT_ENCODING).collect();
        Wanted { form, gzip: takes_gzip(&encodings.join(",")) }
    }

    /// `Content-Type` of the answer.
    pub fn content_type(self) -> &'static str {
        match (self.form.open_metrics, self.form.utf8) {
            (false, false) => "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
            (false, true) => "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            (true, false) => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
            }
            (true, true) => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8"
            }
        }
    }
}

/// One format that a scraper takes and we have.
#[derive(Clone, Copy, Debug, Default)]
struct Kind {
    open_metrics: bool,
    utf8: bool,
    quality: f32,
}

impl Kind {
    fn read(text: &str, open_metrics: bool) -> Option<Kind> {
        let mut parts = text.split(';').map(str::trim);
        let mut kind = Kind { quality: 1.0, ..Kind::default() };
        match parts.next()?.to_ascii_lowercase().as_str() {
            "application/openmetrics-text" if open_metrics => kind.open_metrics = true,
            "text/plain" | "text/*" | "*/*" => {}
            _ => return None,
        }
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match (name.trim(), value.trim().trim_matches('"')) {
                ("q", value) => kind.quality = value.parse().ok()?,
                ("escaping", value) => kind.utf8 = value == "allow-utf-8",
                // Versions of OpenMetrics beyond ours are another format.
                ("version", "0.0.1" | "0.0.4" | "1.0.0") => {}
                ("version", _) => return None,
                _ => {}
            }
        }
        (kind.quality > 0.0).then_some(kind)
    }
}

fn takes_gzip(header: &str) -> bool {
    header.split(',').any(|one| {
        let (name, rest) = one.split_once(';').unwrap_or((one, ""));
        let quality = rest.trim().strip_prefix("q=").and_then(|q| q.parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case("gzip") && quality.unwrap_or(1.0) > 0.0
    })
}
