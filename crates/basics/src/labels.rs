// SPDX-License-Identifier: Apache-2.0
//! Label sets and matchers with Prometheus' meaning, shared by `store` (selection) and `promql`.
//!
//! An empty value means the label is absent: [`Labels`] never holds one.
//! Regular expressions are anchored at both ends, as in Prometheus.

use std::fmt;
use std::sync::Arc;

/// The label that holds the metric name.
pub const METRIC_NAME: &str = "__name__";

/// A set of labels sorted by name, each name once, no empty values. Clone = refcount.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Labels(Arc<[(Arc<str>, Arc<str>)]>);

impl Labels {
    /// Builds a set from pairs in any order. Empty values are left out; of equal names the last wins.
    pub fn new<N: Into<Arc<str>>, V: Into<Arc<str>>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let mut list: Vec<(Arc<str>, Arc<str>)> =
            pairs.into_iter().map(|(n, v)| (n.into(), v.into())).collect();
        list.sort_by(|a, b| a.0.cmp(&b.0));
        let mut out: Vec<(Arc<str>, Arc<str>)> = Vec::with_capacity(list.len());
        for pair in list {
            match out.last_mut() {
                Some(last) if last.0 == pair.0 => *last = pair,
                _ => out.push(pair),
            }
        }
        out.retain(|(_, v)| !v.is_empty());
        Labels(out.into())
    }

    /// Builds a set from pairs that are one already: ascending by name, each name once, no empty
    /// values.
    pub fn from_sorted(pairs: impl IntoIterator<Item = (Arc<str>, Arc<str>)>) -> Self {
        let labels = Labels(pairs.into_iter().collect());
        debug_assert!(labels.0.windows(2).all(|two| two[0].0 < two[1].0), "{labels}");
        labels
    }

    /// The value of `name`, or `""` when absent.
    pub fn get(&self, name: &str) -> &str {
        match self.0.binary_search_by(|(n, _)| n.as_ref().cmp(name)) {
            Ok(at) => &self.0[at].1,
            Err(_) => "",
        }
    }

    /// The metric name, or `""`.
    pub fn name(&self) -> &str {
        self.get(METRIC_NAME)
    }

    /// All pairs, ascending by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + Clone {
        self.0.iter().map(|(n, v)| (n.as_ref(), v.as_ref()))
    }

    /// All pairs with shared strings, ascending by name.
    pub fn pairs(&self) -> &[(Arc<str>, Arc<str>)] {
        &self.0
    }

    /// Number of labels.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when there is no label.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The set without the labels that `drop` names.
    pub fn without(&self, drop: impl Fn(&str) -> bool) -> Self {
        Labels(self.0.iter().filter(|(n, _)| !drop(n)).cloned().collect())
    }

    /// The set with `name` set to `value`; an empty value removes it.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut list: Vec<_> = self.0.iter().filter(|(n, _)| n.as_ref() != name).cloned().collect();
        if !value.is_empty() {
            let at = list.partition_point(|(n, _)| n.as_ref() < name);
            list.insert(at, (name.into(), value.into()));
        }
        Labels(list.into())
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As Prometheus prints a label set: `{a="1", b="2"}` with the metric name among the labels.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (n, v)) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{n}={v:?}")?;
        }
        f.write_str("}")
    }
}

/// How a [`Matcher`] compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

/// One label condition of a selector. An absent label compares as `""`.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// Label name.
    pub name: Arc<str>,
    /// Comparison.
    pub op: MatchOp,
    /// What to compare with, as written.
    pub value: Arc<str>,
    regex: Option<regex::Regex>,
}

/// Largest compiled size of one regular expression: a selector must not take memory at will.
const REGEX_BYTES_MAX: usize = 4 << 20;

/// Compiles a Prometheus regular expression: matched against the whole text, `.` takes newlines.
///
/// # Errors
/// [`crate::Kind::Invalid`] when `pattern` is not a regular expression or compiles too large.
pub fn anchored_regex(pattern: &str) -> crate::Result<regex::Regex> {
    regex::RegexBuilder::new(&format!("^(?s:{})$", crate::pattern::from_go(pattern)))
        .size_limit(REGEX_BYTES_MAX)
        .build()
        .map_err(|e| crate::Error::invalid(format!("invalid regular expression {pattern:?}: {e}")))
}

impl Matcher {
    /// A condition on `name`.
    ///
    /// # Errors
    /// [`crate::Kind::Invalid`] when `value` is not a regular expression and `op` needs one.
    pub fn new(op: MatchOp, name: &str, value: &str) -> crate::Result<Self> {
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => Some(anchored_regex(value)?),
        };
        Ok(Matcher { name: name.into(), op, value: value.into(), regex })
    }

    /// True when a label of this value (`""` = absent) satisfies the condition.
    pub fn matches(&self, value: &str) -> bool {
        match (self.op, &self.regex) {
            (MatchOp::Equal, _) => value == self.value.as_ref(),
            (MatchOp::NotEqual, _) => value != self.value.as_ref(),
            (MatchOp::Regex, Some(regex)) => regex.is_match(value),
            (MatchOp::NotRegex, Some(regex)) => !regex.is_match(value),
            (MatchOp::Regex | MatchOp::NotRegex, None) => false,
        }
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.op == other.op && self.name == other.name && self.value == other.value
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let op = match self.op {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        };
        write!(f, "{}{op}{:?}", self.name, self.value)
    }
}
