// SPDX-License-Identifier: Apache-2.0
//! Who a client is, and who we are to a server: what authenticator extensions give the others.
//!
//! An extension that is one hands out its two sides once it is built; servers and clients find
//! them in the [`Host`](crate::host::Host) by the id that their `auth.authenticator` names. Both
//! look at headers only. A refusal says nothing about what was wrong beyond what the client sent.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use basics::{Error, Result};
use hashbrown::HashMap;
use http::{HeaderMap, HeaderValue};
use parking_lot::Mutex;

/// What is known about a client that was let in, such as `username`.
pub type AuthData = Vec<(String, String)>;

/// The client is not let in: gRPC UNAUTHENTICATED, HTTP 401.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// For the client.
    pub message: String,
    /// `WWW-Authenticate`: how to ask again.
    pub challenge: HeaderValue,
}

/// Lets clients in, or not.
#[async_trait]
pub trait ServerAuth: Send + Sync {
    /// Who the client is that sends `headers`.
    ///
    /// # Errors
    /// [`Denied`] when it has not shown that it may come in.
    async fn authenticate(&self, headers: &HeaderMap) -> Result<AuthData, Denied>;
}

/// Says to servers who we are.
pub trait ClientAuth: Send + Sync {
    /// Adds what the server wants to see.
    ///
    /// # Errors
    /// When there are no credentials now; the request is not sent.
    fn add_to(&self, headers: &mut HeaderMap) -> Result<()>;
}

/// The sides of one authenticator extension; most have one.
#[derive(Clone, Default)]
pub struct Authenticator {
    /// For servers.
    pub server: Option<Arc<dyn ServerAuth>>,
    /// For clients.
    pub client: Option<Arc<dyn ClientAuth>>,
}

/// All authenticators of a process by the id of their extension.
#[derive(Default)]
pub struct Authenticators(Mutex<HashMap<String, Authenticator>>);

impl fmt::Debug for Authenticators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.lock().keys()).finish()
    }
}

impl Authenticators {
    /// Puts `authenticator` under `id`, in the place of an earlier one.
    pub fn set(&self, id: &str, authenticator: Authenticator) {
        self.0.lock().insert(id.to_owned(), authenticator);
    }

    /// The server side of `id`.
    ///
    /// # Errors
    /// `Invalid` when there is no such extension, or it is none for servers.
    pub fn server(&self, id: &str) -> Result<Arc<dyn ServerAuth>> {
        let none = "requested authenticator is not a server authenticator";
        self.find(id)?.server.ok_or_else(|| Error::invalid(format!("\"{id}\": {none}")))
    }

    /// The client side of `id`.
    ///
    /// # Errors
    /// `Invalid` when there is no such extension, or it is none for clients.
    pub fn client(&self, id: &str) -> Result<Arc<dyn ClientAuth>> {
        let none = "requested authenticator is not a client authenticator";
        self.find(id)?.client.ok_or_else(|| Error::invalid(format!("\"{id}\": {none}")))
    }

    fn find(&self, id: &str) -> Result<Authenticator> {
        let unknown = || {
            Error::invalid(format!(
                "failed to resolve authenticator \"{id}\": authenticator not found"
            ))
        };
        self.0.lock().get(id).cloned().ok_or_else(unknown)
    }
}
