// SPDX-License-Identifier: Apache-2.0
//! Metric and label names as Prometheus spells them (UnderscoreEscaping, with or without suffixes).
//!
//! Source: OpenTelemetry specification, "Prometheus and OpenMetrics compatibility"; behaviour
//! checked against prometheus/otlptranslator by the golden cases in the tests.

/// What a name depends on besides the OTLP name.
#[derive(Clone, Copy, Debug, Default)]
pub struct NameContext<'a> {
    /// UCUM unit.
    pub unit: &'a str,
    /// A monotonic sum: gets `_total`.
    pub counter: bool,
    /// A gauge: unit `1` gives `_ratio`.
    pub gauge: bool,
    /// Put before the name.
    pub namespace: &'a str,
    /// Whether unit and type are appended.
    pub suffixes: bool,
}

/// The Prometheus name of a metric; none when nothing valid is left of it.
pub fn metric_name(name: &str, context: NameContext<'_>) -> Option<String> {
    let joined = if context.suffixes {
        with_suffixes(name, context)
    } else {
        plain(name, context.namespace)
    };
    if joined.bytes().all(|byte| byte == b'_') {
        return None;
    }
    Some(if joined.starts_with(|c: char| c.is_ascii_digit()) {
        format!("_{joined}")
    } else {
        joined
    })
}

fn plain(name: &str, namespace: &str) -> String {
    let valid = |c: char| c.is_ascii_alphanumeric() || c == ':' || c == '_';
    let parts: Vec<&str> = name.split(|c| !valid(c)).filter(|part| !part.is_empty()).collect();
    let joined = parts.join("_");
    if namespace.is_empty() { joined } else { format!("{namespace}_{joined}") }
}

fn with_suffixes(name: &str, context: NameContext<'_>) -> String {
    let valid = |c: char| c.is_ascii_alphanumeric() || c == ':';
    let mut tokens: Vec<String> =
        name.split(|c| !valid(c)).filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let (main, per) = unit_parts(context.unit);
    if !main.is_empty() && !tokens.contains(&main) {
        tokens.push(main);
    }
    if !per.is_empty() && !tokens.contains(&per) {
        tokens.push(format!("per_{per}"));
    }
    if context.counter {
        move_to_end(&mut tokens, "total");
    }
    if context.gauge && context.unit == "1" {
        move_to_end(&mut tokens, "ratio");
    }
    if !context.namespace.is_empty() && !tokens.is_empty() {
        tokens.insert(0, context.namespace.to_owned());
    }
    tokens.join("_")
}

fn move_to_end(tokens: &mut Vec<String>, token: &str) {
    if tokens.is_empty() {
        return;
    }
    tokens.retain(|other| other != token);
    tokens.push(token.to_owned());
}

/// The unit as Prometheus writes it: `By` is `bytes`, `m/s` is `meters_per_second`.
pub fn unit_name(unit: &str) -> String {
    match unit_parts(unit) {
        (main, per) if per.is_empty() => main,
        (main, per) if main.is_empty() => format!("per_{per}"),
        (main, per) => format!("{main}_per_{per}"),
    }
}

/// Words for the unit and for what it is per; each empty when there is none.
fn unit_parts(unit: &str) -> (String, String) {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let word = |part: &str, known: fn(&str) -> Option<&'static str>| {
        let part = part.trim();
        if part.contains(['{', '}']) {
            return String::new();
        }
        known(part).map_or_else(|| cleaned(part), str::to_owned)
    };
    (word(main, main_unit), word(per, per_unit))
}

fn cleaned(unit: &str) -> String {
    let valid = |c: char| c.is_ascii_alphanumeric() || c == ':';
    let parts: Vec<&str> = unit.split(|c| !valid(c)).filter(|part| !part.is_empty()).collect();
    parts.join("_")
}

fn main_unit(unit: &str) -> Option<&'static str> {
    Some(match unit {
        "d" => "days",
        "h" => "hours",
        "min" => "minutes",
        "s" => "seconds",
        "ms" => "milliseconds",
        "us" => "microseconds",
        "ns" => "nanoseconds",
        "By" => "bytes",
        "KiBy" => "kibibytes",
        "MiBy" => "mebibytes",
        "GiBy" => "gibibytes",
        "TiBy" => "tibibytes",
        "KBy" => "kilobytes",
        "MBy" => "megabytes",
        "GBy" => "gigabytes",
        "TBy" => "terabytes",
        "m" => "meters",
        "V" => "volts",
        "A" => "amperes",
        "J" => "joules",
        "W" => "watts",
        "g" => "grams",
        "Cel" => "celsius",
        "Hz" => "hertz",
        "%" => "percent",
        "1" => "",
        _ => return None,
    })
}

fn per_unit(unit: &str) -> Option<&'static str> {
    Some(match unit {
        "s" => "second",
        "m" => "minute",
        "h" => "hour",
        "d" => "day",
        "w" => "week",
        "mo" => "month",
        "y" => "year",
        _ => return None,
    })
}

/// The Prometheus name of an attribute; none for an empty key. Runs of invalid characters and
/// underscores become one underscore; reserved names (`__x__`) keep theirs.
pub fn label_name(key: &str) -> Option<String> {
    let mut name = String::with_capacity(key.len() + 4);
    for c in key.chars() {
        let c = if c.is_ascii_alphanumeric() { c } else { '_' };
        if c != '_' || !name.ends_with('_') {
            name.push(c);
        }
    }
    let is_reserved = key.len() > 4 && key.starts_with("__") && key.ends_with("__");
    if is_reserved && name.len() > 1 {
        return Some(format!("_{name}_"));
    }
    match name.as_bytes().first()? {
        b'0'..=b'9' => Some(format!("key_{name}")),
        b'_' => Some(format!("key{name}")),
        _ => Some(name),
    }
}

/// As [`label_name`] for the labels of `target_info`, which keep every underscore; none when
/// nothing else is left.
pub fn info_label_name(key: &str) -> Option<String> {
    let name: String =
        key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if name.bytes().all(|byte| byte == b'_') {
        return None;
    }
    Some(if name.starts_with(|c: char| c.is_ascii_digit()) { format!("key_{name}") } else { name })
}

/// A bucket bound or quantile as a label value: shortest decimal without exponent, `+Inf`.
pub fn number_label(value: f64) -> String {
    if value == f64::INFINITY {
        "+Inf".to_owned()
    } else if value == f64::NEG_INFINITY {
        "-Inf".to_owned()
    } else {
        format!("{value}")
    }
}
