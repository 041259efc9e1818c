// SPDX-License-Identifier: Apache-2.0
//! What receivers with a listener share: binding, the accept loop, bounded bodies, inflating.

pub mod body;
pub mod inflate;
pub mod listen;
