// SPDX-License-Identifier: Apache-2.0
//! Label names, label values, series and metadata.

use std::collections::BTreeMap;

use axum::extract::{Path, State};

use super::{Answer, Handler, NamedHandler, blocking, selectors, time_range};
use crate::answer::{Failure, labels, string, strings, success, success_with};
use crate::params::Params;

const TRUNCATED: &str = "results truncated due to limit";

/// `/api/v1/labels`: label names of the series that match.
pub async fn names((State(api), request): Handler) -> Answer {
    let params = Params::read(request).await?;
    let (range, limit, sets) = (time_range(&params)?, params.limit()?, selectors(&params)?);
    let index = api.index()?;
    let names = blocking(move || Ok(index.label_names(&sets, range))).await?;
    Ok(list(names, limit))
}

/// `/api/v1/label/<name>/values`: values of one label of the series that match.
pub async fn values((State(api), Path(name), request): NamedHandler) -> Answer {
    let params = Params::read(request).await?;
    let name = unescape(&name);
    if name.is_empty() {
        return Err(Failure::bad_data(format!("invalid label name: {name:?}")));
    }
    let (range, limit, sets) = (time_range(&params)?, params.limit()?, selectors(&params)?);
    let index = api.index()?;
    let values = blocking(move || Ok(index.label_values(&name, &sets, range))).await?;
    Ok(list(values, limit))
}

fn list(mut values: Vec<String>, limit: Option<usize>) -> axum::http::Response<axum::body::Body> {
    let cut = limit.is_some_and(|limit| values.len() > limit);
    values.truncate(limit.unwrap_or(usize::MAX));
    let mut data = String::new();
    strings(&mut data, values.iter().map(String::as_str));
    let warnings: &[String] = if cut { &[TRUNCATED.to_owned()] } else { &[] };
    success_with(&data, warnings, &[])
}

/// `/api/v1/series`: label sets of the series that match; at least one `match[]`.
pub async fn series((State(api), request): Handler) -> Answer {
    let params = Params::read(request).await?;
    if params.all("match[]").next().is_none() {
        return Err(Failure::bad_data("no match[] parameter provided"));
    }
    let (range, limit, sets) = (time_range(&params)?, params.limit()?, selectors(&params)?);
    let index = api.index()?;
    let mut found = blocking(move || Ok(index.series(&sets, range))).await?;
    let cut = limit.is_some_and(|limit| found.len() > limit);
    found.truncate(limit.unwrap_or(usize::MAX));
    let mut data = String::from("[");
    for (i, set) in found.iter().enumerate() {
        if i > 0 {
            data.push(',');
        }
        labels(&mut data, set);
    }
    data.push(']');
    let warnings: &[String] = if cut { &[TRUNCATED.to_owned()] } else { &[] };
    Ok(success_with(&data, warnings, &[]))
}

/// `/api/v1/metadata`: type, help and unit per metric; `metric`, `limit`, `limit_per_metric`.
pub async fn metadata((State(api), request): Handler) -> Answer {
    let params = Params::read(request).await?;
    let limit = params.limit()?;
    let only = params.get("metric").to_owned();
    let index = api.index()?;
    let all = blocking(move || Ok(index.metadata())).await?;
    let mut by_name: BTreeMap<&str, &crate::source::Metadata> = BTreeMap::new();
    for entry in &all {
        if only.is_empty() || entry.metric == only {
            by_name.insert(&entry.metric, entry);
        }
    }
    let mut data = String::from("{");
    for (i, (name, entry)) in by_name.into_iter().take(limit.unwrap_or(usize::MAX)).enumerate() {
        if i > 0 {
            data.push(',');
        }
        string(&mut data, name);
        data.push_str(":[{\"type\":");
        string(&mut data, entry.kind);
        data.push_str(",\"help\":");
        string(&mut data, &entry.help);
        data.push_str(",\"unit\":");
        string(&mut data, &entry.unit);
        data.push_str("}]");
    }
    data.push('}');
    Ok(success(&data))
}

/// Undoes `U__` escaping of names that are not plain Prometheus names (`_xx_` = code point in hex,
/// `__` = underscore).
fn unescape(name: &str) -> String {
    let Some(rest) = name.strip_prefix("U__") else { return name.to_owned() };
    let mut out = String::new();
    let mut parts = rest;
    while let Some(at) = parts.find('_') {
        out.push_str(&parts[..at]);
        let after = &parts[at + 1..];
        let Some(end) = after.find('_') else { return name.to_owned() };
        if end == 0 {
            out.push('_');
        } else {
            match u32::from_str_radix(&after[..end], 16).ok().and_then(char::from_u32) {
                Some(c) => out.push(c),
                None => return name.to_owned(),
            }
        }
        parts = &after[end + 1..];
    }
    out.push_str(parts);
    out
}

#[cfg(test)]
mod tests {
    use super::unescape;

    #[test]
    fn escaped_names_are_read_back() {
        for (escaped, name) in [
            ("job", "job"),
            ("U__http_2e_route", "http.route"),
            ("U__a__b", "a_b"),
            ("U__broken_zz_", "U__broken_zz_"),
            ("U__open_2e", "U__open_2e"),
        ] {
            assert_eq!(unescape(escaped), name);
        }
    }
}
