// SPDX-License-Identifier: Apache-2.0
//! `auth`: the extension that says who a client is, or who we are (the collector's configauth).

use serde::Deserialize;

use super::super::Checker;

/// `auth` of a server or client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Auth {
    /// Id of the extension, one of `service.extensions`.
    pub authenticator: String,
    request_params: Vec<String>,
}

impl Auth {
    /// Checks that there is such an extension; `at` is the place of `auth`.
    pub fn validate(&self, at: &mut Checker<'_>) {
        if self.authenticator.is_empty() {
            at.error("authenticator", "authenticator must be the id of an extension");
            return;
        }
        at.authenticator("authenticator", &self.authenticator);
        if !self.request_params.is_empty() {
            at.no_effect("request_params", "no authenticator looks at the URL's parameters");
        }
    }
}
