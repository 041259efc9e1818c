// SPDX-License-Identifier: Apache-2.0
//! How success or failure travels back.
//!
//! Whoever must know what became of a batch makes a [`Token`] with a callback and puts it into the
//! batch's [`Acks`]. Fan-out and splitting clone the acks, merging joins them; the callback runs
//! once, when the last holder has given its verdict, with the worst verdict given.
//! A holder that goes away without one (a panic, a lost task) counts as a retryable failure, so
//! that what was not delivered is never taken for delivered.

use std::sync::Arc;

use basics::{Error, Result};
use parking_lot::Mutex;

use crate::budget::Permit;

type Callback = Box<dyn FnOnce(Result<()>) + Send>;

/// One waiting party, shared by all batches that carry a part of its data.
pub struct Token {
    worst: Mutex<Option<Error>>,
    callback: Mutex<Option<Callback>>,
}

impl Token {
    /// A token whose `callback` runs once, with `Ok` if every holder delivered.
    pub fn new(callback: impl FnOnce(Result<()>) + Send + 'static) -> Arc<Self> {
        Arc::new(Token { worst: Mutex::new(None), callback: Mutex::new(Some(Box::new(callback))) })
    }

    fn fail(&self, error: Error) {
        let mut worst = self.worst.lock();
        // A failure that may pass outranks one that will not: the holder can still be retried.
        let outranks = match &*worst {
            None => true,
            Some(old) => error.kind().is_retryable() && !old.kind().is_retryable(),
        };
        if outranks {
            *worst = Some(error);
        }
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        if let Some(callback) = self.callback.get_mut().take() {
            callback(match self.worst.get_mut().take() {
                None => Ok(()),
                Some(error) => Err(error),
            });
        }
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

/// What ends with the fate of one batch: the parties that wait to hear it, and the memory that is
/// free again then. Every holder ends with [`Acks::settle`].
#[derive(Debug, Default)]
pub struct Acks {
    tokens: Vec<Arc<Token>>,
    permits: Vec<Arc<Permit>>,
}

impl Acks {
    /// Nobody waits.
    pub fn none() -> Self {
        Self::default()
    }

    /// `token` waits.
    pub fn one(token: Arc<Token>) -> Self {
        Acks { tokens: vec![token], permits: Vec::new() }
    }

    /// True when nobody waits.
    pub fn is_none(&self) -> bool {
        self.tokens.is_empty()
    }

    /// `token` waits as well.
    pub fn add(&mut self, token: Arc<Token>) {
        self.tokens.push(token);
    }

    /// Keeps `permit` until the last holder has settled.
    pub fn hold(&mut self, permit: Permit) {
        self.permits.push(Arc::new(permit));
    }

    /// Takes over the parties of `other`, as when two batches become one.
    pub fn join(&mut self, mut other: Acks) {
        self.tokens.append(&mut other.tokens);
        self.permits.append(&mut other.permits);
    }

    /// Takes those who wait out, as when someone else answers them; the memory stays held.
    pub(crate) fn take_waiting(&mut self) -> Acks {
        Acks { tokens: std::mem::take(&mut self.tokens), permits: Vec::new() }
    }

    /// The verdict of this holder.
    pub fn settle(mut self, outcome: Result<()>) {
        for token in self.tokens.drain(..) {
            if let Err(error) = &outcome {
                token.fail(error.clone());
            }
        }
    }
}

impl Clone for Acks {
    fn clone(&self) -> Self {
        Acks { tokens: self.tokens.clone(), permits: self.permits.clone() }
    }
}

impl Drop for Acks {
    fn drop(&mut self) {
        for token in self.tokens.drain(..) {
            token.fail(Error::retry("a component lost the batch without a verdict"));
        }
    }
}

#[cfg(test)]
mod tests;
