// SPDX-License-Identifier: Apache-2.0
//! `/federate`: the newest sample of the series that match, as a page another Prometheus scrapes.
//!
//! Series of one name stand together under one `# TYPE` line, which says nothing of the type, as in
//! Prometheus; samples carry their times, and the external labels that the rules have. Native
//! histograms have no text form and are left out, as Prometheus does for text. Bound: the engine's
//! series of a selector.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Response, header};
use basics::labels::{Labels, METRIC_NAME};
use otlp_series::STALE;
use promql::{Select, SeriesSource};

use super::{Answer, Handler, blocking, selectors};
use crate::answer;
use crate::params::Params;

/// `match[]`, any number of them.
pub async fn page((State(api), request): Handler) -> Answer {
    let params = Params::read(request).await?;
    let sets = selectors(&params)?;
    let source = api.source()?;
    let external = crate::rules::Board::of(&api.host).external_labels();
    let (end, lookback, series_max) =
        (api.clock.now_ms(), api.limits.lookback_ms, api.limits.series_max);
    let text = blocking(move || {
        let mut newest: BTreeMap<Labels, (i64, f64)> = BTreeMap::new();
        for matchers in &sets {
            let hints = promql::Hints { series_max, ..Default::default() };
            let select = Select { matchers, start_ms: end - lookback + 1, end_ms: end, hints };
            for series in source.select(&select)? {
                let last = series.timestamps_ms.last().zip(series.values.last());
                let native = series.histograms.last().map_or(i64::MIN, |h| h.timestamp_ms);
                if let Some((time, value)) = last
                    && value.to_bits() != STALE.to_bits()
                    && *time >= native
                {
                    newest.insert(series.labels, (*time, *value));
                }
            }
        }
        Ok(text(&newest, &external))
    })
    .await?;
    let mut response = Response::new(Body::from(text));
    let kind =
        HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8; escaping=underscores");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

/// The newest samples of the series of one name.
type OfName<'n> = Vec<(&'n Labels, (i64, f64))>;

fn text(newest: &BTreeMap<Labels, (i64, f64)>, external: &BTreeMap<String, String>) -> String {
    let mut by_name: BTreeMap<&str, OfName<'_>> = BTreeMap::new();
    for (labels, sample) in newest {
        by_name.entry(labels.name()).or_default().push((labels, *sample));
    }
    let mut out = String::new();
    for (name, series) in by_name {
        let plain = is_plain(name);
        let _ = writeln!(out, "# TYPE {} untyped", quoted(name, plain));
        for (labels, (time, value)) in series {
            let rest = labels.iter().filter(|(label, _)| *label != METRIC_NAME);
            let mut pairs: Vec<String> = rest
                .map(|(label, value)| {
                    format!("{}=\"{}\"", quoted(label, is_plain(label)), escaped(value))
                })
                .collect();
            // What names this server in the eyes of the other one.
            let others = external.iter().filter(|(label, _)| labels.get(label).is_empty());
            pairs.extend(others.map(|(label, value)| {
                format!("{}=\"{}\"", quoted(label, is_plain(label)), escaped(value))
            }));
            // A federated page tells of targets: the label is there, if empty.
            for label in ["instance"] {
                if labels.get(label).is_empty() {
                    pairs.push(format!("{label}=\"\""));
                }
            }
            if plain {
                out.push_str(name);
            } else {
                pairs.insert(0, quoted(name, false));
            }
            let _ = write!(out, "{{{}}} ", pairs.join(","));
            answer::float(&mut out, value);
            let _ = writeln!(out, " {time}");
        }
    }
    out
}

fn is_plain(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
}

fn quoted(name: &str, plain: bool) -> String {
    if plain { name.to_owned() } else { format!("\"{}\"", escaped(name)) }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
