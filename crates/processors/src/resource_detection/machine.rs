// SPDX-License-Identifier: Apache-2.0
//! What detectors read: environment variables and files of the system, from where a test says.

use std::path::{Path, PathBuf};

type Variable = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// A machine to be asked.
pub(super) struct Machine {
    root: PathBuf,
    variable: Variable,
}

impl Machine {
    /// The one this process runs on.
    pub fn this() -> Self {
        Machine { root: "/".into(), variable: Box::new(|name| std::env::var(name).ok()) }
    }

    /// One whose files lie under `root` and which has these variables.
    #[cfg(test)]
    pub fn fake(root: &Path, variables: &'static [(&'static str, &'static str)]) -> Self {
        let variable = move |name: &str| {
            variables.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).to_owned())
        };
        Machine { root: root.into(), variable: Box::new(variable) }
    }

    /// An environment variable, without space around it; `None` when absent or empty.
    pub fn variable(&self, name: &str) -> Option<String> {
        let value = (self.variable)(name)?.trim().to_owned();
        (!value.is_empty()).then_some(value)
    }

    /// A file, without space around its content; `None` when absent or empty.
    pub fn file(&self, path: &str) -> Option<String> {
        let text = std::fs::read_to_string(self.path(path)).ok()?.trim().to_owned();
        (!text.is_empty()).then_some(text)
    }

    /// Where a link leads.
    pub fn link(&self, path: &str) -> Option<PathBuf> {
        std::fs::read_link(self.path(path)).ok()
    }

    /// The names in a directory, sorted.
    pub fn names(&self, path: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.path(path)) else { return Vec::new() };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(Path::new(path).strip_prefix("/").unwrap_or(Path::new(path)))
    }
}
