// SPDX-License-Identifier: Apache-2.0
//! Old metric names: `http_server_duration_bucket` asks for what is stored as
//! `http_server_duration_milliseconds_bucket`.
//!
//! Collectors before 0.80 appended neither unit nor type, and dashboards written then are still
//! around. A name that some series has is never taken for an old one.
//! Bound: one entry a metric family.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use basics::labels::{METRIC_NAME, MatchOp, Matcher};

use super::Head;

/// What a family's series append to its name.
const SUFFIXES: [&str; 5] = ["", "_bucket", "_count", "_sum", "_total"];

/// Families by their name without suffixes.
#[derive(Debug, Default)]
pub(super) struct Aliases(BTreeMap<String, BTreeSet<String>>);

impl Aliases {
    /// `plain` may be asked for instead of `family`.
    pub(super) fn add(&mut self, plain: &str, family: &str) {
        if plain != family {
            self.0.entry(plain.to_owned()).or_default().insert(family.to_owned());
        }
    }

    /// The matchers with an old name replaced by the names it stands for; none when there is no
    /// old name among them. `exists` tells whether a series has a name.
    pub(super) fn replace(
        &self,
        matchers: &[Matcher],
        exists: impl Fn(&str) -> bool,
    ) -> Option<Vec<Matcher>> {
        let is_name = |m: &Matcher| m.op == MatchOp::Equal && *m.name == *METRIC_NAME;
        let at = matchers.iter().position(is_name)?;
        let asked = &*matchers[at].value;
        if self.0.is_empty() || exists(asked) {
            return None;
        }
        let meant: BTreeSet<String> = SUFFIXES
            .iter()
            .filter_map(|suffix| Some((asked.strip_suffix(suffix)?, *suffix)))
            .flat_map(|(plain, suffix)| {
                let families = self.0.get(plain).into_iter().flatten();
                families.map(move |family| with_suffix(family, suffix))
            })
            .filter(|name| exists(name))
            .collect();
        if meant.is_empty() {
            return None;
        }
        // Names hold nothing that a regular expression would take for more than itself.
        let pattern = meant.into_iter().collect::<Vec<_>>().join("|");
        let mut replaced = matchers.to_vec();
        replaced[at] = Matcher::new(MatchOp::Regex, METRIC_NAME, &pattern).ok()?;
        Some(replaced)
    }
}

impl Head {
    /// The matchers with an old metric name replaced by what it stands for today.
    pub(crate) fn today<'m>(&self, matchers: &'m [Matcher]) -> Cow<'m, [Matcher]> {
        let registry = self.registry.read();
        let replaced = self.aliases.read().replace(matchers, |name| registry.has_name(name));
        replaced.map_or(Cow::Borrowed(matchers), Cow::Owned)
    }
}

fn with_suffix(family: &str, suffix: &str) -> String {
    // A counter's family has its `_total` already.
    let has_it = suffix == "_total" && family.ends_with(suffix);
    if has_it { family.to_owned() } else { format!("{family}{suffix}") }
}
