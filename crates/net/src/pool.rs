// SPDX-License-Identifier: Apache-2.0
//! Addresses that stay bound while one server hands over to the next.
//!
//! A configuration that is loaded anew starts its servers before those of the old one stop. Both
//! accept from one socket then: nothing is refused, and connections that wait in the kernel's
//! backlog are not lost. Within a round an address is given once, so that two components with
//! one address are still a mistake. The pool keeps no socket open: the last server that drops it
//! closes it. Bound: one entry an endpoint that was ever served; dead ones go with each round.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use basics::Result;

use crate::listen;
use crate::socket::Listener;

/// The listeners of one process.
#[derive(Debug, Default)]
pub struct Pool(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    round: u64,
    /// By endpoint as written, with the round it was last given in.
    bound: HashMap<String, (u64, Weak<Listener>)>,
}

impl Pool {
    /// The listener of `endpoint`: that of the round before if it is still served, else a new one.
    ///
    /// # Errors
    /// As [`listen::bind`].
    pub async fn bind(&self, endpoint: &str) -> Result<Arc<Listener>> {
        if let Some(listener) = self.take_over(endpoint) {
            return Ok(listener);
        }
        let listener = Arc::new(listen::bind(endpoint).await?);
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let round = state.round;
        state.bound.insert(endpoint.to_owned(), (round, Arc::downgrade(&listener)));
        Ok(listener)
    }

    /// A new configuration begins: what is bound may be given once more.
    pub fn next_round(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.round += 1;
        state.bound.retain(|_, (_, listener)| listener.strong_count() > 0);
    }

    fn take_over(&self, endpoint: &str) -> Option<Arc<Listener>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = state.round;
        let (round, listener) = state.bound.get_mut(endpoint)?;
        let is_given = *round == now;
        // Port 0 asks for a port of its own each time.
        let is_any_port = endpoint.ends_with(":0");
        let listener = listener.upgrade().filter(|_| !is_given && !is_any_port)?;
        *round = now;
        Some(listener)
    }
}
