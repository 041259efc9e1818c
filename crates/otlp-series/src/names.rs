// SPDX-License-Identifier: Apache-2.0
//! Metric and label names as Prometheus spells them: escaped to `_` or in full UTF-8, with or without
//! suffixes for unit and type (the Collector's four translation strategies).
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
    /// Whether characters stay as they are.
    pub utf8: bool,
}

/// The Prometheus name of a metric; none when nothing valid is left of it.
pub fn metric_name(name: &str, context: NameContext<'_>) -> Option<String> {
    if context.utf8 {
        return (!name.is_empty()).then(|| in_full(name, context));
    }
    let mut joined = match context.suffixes {
        true => with_suffixes(name, context),
        false => plain(name, context.namespace),
    };
    if is_blank(&joined) {
        // Underscores are a name if they were one; they must not become one.
        return (joined == name && !name.is_empty()).then_some(joined);
    }
    if joined.starts_with(|c: char| c.is_ascii_digit()) {
        joined.insert(0, '_');
    }
    Some(joined)
}

/// Every character kept; what is appended moves to the end if the name has it there already.
fn in_full(name: &str, context: NameContext<'_>) -> String {
    let mut name = match context.namespace {
        "" => name.to_owned(),
        namespace => format!("{namespace}_{name}"),
    };
    if !context.suffixes {
        return name;
    }
    let is_ratio = context.gauge && context.unit == "1";
    let (main, per) = unit_words(context.unit);
    let ends = [(is_ratio, "ratio"), (context.counter, "total"), (!per.is_empty(), per.as_str())];
    for (_, end) in ends.iter().filter(|(wanted, _)| *wanted) {
        // One character more is the delimiter, whatever it is.
        let kept = name.strip_suffix(end).and_then(|kept| kept.char_indices().next_back());
        if let Some((at, _)) = kept.filter(|(at, _)| *at > 0) {
            name.truncate(at);
        }
    }
    if !main.is_empty() && !name.ends_with(&main) {
        name = format!("{name}_{main}");
    }
    for (_, end) in ends.iter().rev().filter(|(wanted, _)| *wanted) {
        name = format!("{name}_{end}");
    }
    name
}

fn plain(name: &str, namespace: &str) -> String {
    let valid = |c: char| c.is_ascii_alphanumeric() || c == ':' || c == '_';
    let escaped = |text: &str| {
        let parts: Vec<&str> = text.split(|c| !valid(c)).filter(|part| !part.is_empty()).collect();
        parts.join("_")
    };
    match namespace {
        "" => escaped(name),
        namespace => format!("{}_{}", escaped(namespace), escaped(name)),
    }
}

fn with_suffixes(name: &str, context: NameContext<'_>) -> String {
    let valid = |c: char| c.is_ascii_alphanumeric() || c == ':';
    let mut tokens: Vec<String> =
        name.split(|c| !valid(c)).filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let (main, per) = unit_words(context.unit);
    let (mut main, per) = (cleaned(&main), cleaned(&per));
    let per = per.strip_suffix('_').unwrap_or(&per);
    let has_per = !matches!(per, "" | "per");
    if has_per {
        main = main.strip_suffix('_').unwrap_or(&main).to_owned();
    }
    if !main.is_empty() && !tokens.contains(&main) {
        tokens.push(main);
    }
    if has_per {
        tokens.push(per.to_owned());
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
    let (main, per) = unit_words(unit);
    let (main, per) = (cleaned(&main), cleaned(&per));
    let joined = match (main.as_str(), per.as_str()) {
        (main, "") => main.to_owned(),
        ("", per) => per.to_owned(),
        (main, per) => format!("{main}_{per}"),
    };
    let from = joined.strip_prefix('_').unwrap_or(&joined);
    from.strip_suffix('_').unwrap_or(from).to_owned()
}

/// Words for the unit and for what it is per (`per_second`), as written; empty when there is none.
fn unit_words(unit: &str) -> (String, String) {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let word = |part: &str, known: fn(&str) -> Option<&'static str>| {
        let part = part.trim();
        if part.contains(['{', '}']) {
            return String::new();
        }
        known(part).unwrap_or(part).to_owned()
    };
    let per = word(per, per_unit);
    (word(main, main_unit), if per.is_empty() { per } else { format!("per_{per}") })
}

/// Invalid characters as `_`, runs of it as one, none in front.
fn cleaned(unit: &str) -> String {
    let mut out = String::with_capacity(unit.len());
    for c in unit.chars() {
        let c = if c.is_ascii_alphanumeric() || c == ':' { c } else { '_' };
        if c != '_' || !(out.is_empty() || out.ends_with('_')) {
            out.push(c);
        }
    }
    out
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

/// The Prometheus name of an attribute; none for an empty key, or one of underscores where those
/// say nothing. Runs of invalid characters and underscores become one underscore; reserved names
/// (`__x__`) keep theirs. With `utf8` it is the key itself.
pub fn label_name(key: &str, utf8: bool) -> Option<String> {
    if utf8 {
        return (!is_blank(key)).then(|| key.to_owned());
    }
    let inner = key.strip_prefix("__").and_then(|rest| rest.strip_suffix("__"));
    let mut name = String::with_capacity(key.len() + 4);
    for c in inner.unwrap_or(key).chars() {
        let c = if c.is_ascii_alphanumeric() { c } else { '_' };
        if c != '_' || !name.ends_with('_') {
            name.push(c);
        }
    }
    if inner.is_some() {
        return (!is_blank(&name)).then(|| format!("__{name}__"));
    }
    match name.as_bytes().first()? {
        b'0'..=b'9' => Some(format!("key_{name}")),
        b'_' => Some(format!("key{name}")),
        _ => Some(name),
    }
}

fn is_blank(name: &str) -> bool {
    name.bytes().all(|byte| byte == b'_')
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
