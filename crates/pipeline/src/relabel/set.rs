// SPDX-License-Identifier: Apache-2.0
//! The label set that rules work on.

use basics::labels::Labels;

/// Labels while they are being made: names once each, no empty values. Sets have a dozen labels,
/// so a list is searched faster than a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LabelSet(Vec<(String, String)>);

impl LabelSet {
    /// No labels.
    pub fn new() -> Self {
        LabelSet::default()
    }

    /// The value of `name`, or `""` when absent.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// Gives `name` this value; an empty one removes it.
    pub fn set(&mut self, name: &str, value: &str) {
        let at = self.0.iter().position(|(known, _)| known == name);
        match (at, value.is_empty()) {
            (Some(at), true) => {
                self.0.remove(at);
            }
            (Some(at), false) => value.clone_into(&mut self.0[at].1),
            (None, true) => {}
            (None, false) => self.0.push((name.to_owned(), value.to_owned())),
        }
    }

    /// Leaves out the labels whose name `keep` refuses.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|(name, _)| keep(name));
    }

    /// Orders by name.
    pub fn sort(&mut self) {
        self.0.sort_by(|a, b| a.0.cmp(&b.0));
    }

    /// Names and values.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Number of labels.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The finished set.
    pub fn finish(self) -> Labels {
        Labels::new(self.0)
    }
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for LabelSet {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut set = LabelSet::new();
        for (name, value) in pairs {
            set.set(name.as_ref(), value.as_ref());
        }
        set
    }
}
