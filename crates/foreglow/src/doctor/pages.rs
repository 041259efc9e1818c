// SPDX-License-Identifier: Apache-2.0
//! Own metrics of a collector as they stand on its page, or in the store a minute ago.
//!
//! Reads what it understands and passes over the rest: the page may be anybody's. Names are taken
//! without `_total`, which the store adds.

use serde_json::Value;

/// Most samples kept of a page.
const SAMPLES_MAX: usize = 100_000;

/// One line of a page.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Without `_total`.
    pub name: String,
    /// In the order of the page.
    pub labels: Vec<(String, String)>,
    /// Its value.
    pub value: f64,
}

impl Sample {
    /// The value of a label; empty if there is none.
    pub fn label(&self, name: &str) -> &str {
        self.labels.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

/// All samples of a page.
#[derive(Clone, Debug, Default)]
pub struct Page(Vec<Sample>);

impl Page {
    /// Of text in Prometheus' format.
    pub fn of_text(text: &str) -> Page {
        Page(text.lines().filter_map(line).take(SAMPLES_MAX).collect())
    }

    /// Of the answer to an instant query.
    pub fn of_answer(answer: &Value) -> Page {
        let one = |result: &Value| {
            let mut labels: Vec<_> = result["metric"]
                .as_object()?
                .iter()
                .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
                .collect();
            let name = labels.iter().position(|(key, _)| key == "__name__")?;
            let (_, name) = labels.swap_remove(name);
            let value = result["value"][1].as_str()?.parse().ok()?;
            Some(Sample { name: bare(&name).to_owned(), labels, value })
        };
        let results = answer["data"]["result"].as_array();
        Page(results.into_iter().flatten().filter_map(one).take(SAMPLES_MAX).collect())
    }

    /// True when nothing was understood.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of one name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Sample> + 'a {
        self.0.iter().filter(move |sample| sample.name == name)
    }

    /// The value of the only series of a name, or their sum.
    pub fn sum(&self, name: &str) -> Option<f64> {
        self.all(name).map(|sample| sample.value).reduce(|a, b| a + b)
    }

    /// The sum of those whose label has the value.
    pub fn sum_where(&self, name: &str, label: &str, value: &str) -> f64 {
        self.all(name).filter(|sample| sample.label(label) == value).map(|s| s.value).sum()
    }

    /// The values of a label, each once, in order.
    pub fn values(&self, names: &[String], label: &str) -> Vec<String> {
        let named = self.0.iter().filter(|sample| names.contains(&sample.name));
        let mut all: Vec<_> = named.map(|sample| sample.label(label).to_owned()).collect();
        all.sort();
        all.dedup();
        all
    }
}

fn bare(name: &str) -> &str {
    name.strip_suffix("_total").unwrap_or(name)
}

/// `name{key="value",...} 1.5 [timestamp]`
fn line(text: &str) -> Option<Sample> {
    let text = text.trim();
    if text.is_empty() || text.starts_with('#') {
        return None;
    }
    let end = text.find(|c: char| c == '{' || c.is_whitespace())?;
    let (name, mut rest) = text.split_at(end);
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            rest = rest.trim_start_matches([',', ' ']);
            if let Some(after) = rest.strip_prefix('}') {
                rest = after;
                break;
            }
            let (key, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.push((key.to_owned(), value));
            rest = after;
        }
    }
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample { name: bare(name).to_owned(), labels, value })
}

/// The text up to the closing quote, and what comes after it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            c => value.push(c),
        }
    }
    None
}
