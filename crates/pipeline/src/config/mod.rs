// SPDX-License-Identifier: Apache-2.0
//! Configuration: YAML with spans to decoded component settings.

use std::any::Any;
use std::sync::Arc;

/// A spanned YAML node.
pub struct Node;

/// Mistakes and warnings found so far.
pub struct Diagnostics;

/// A component's configuration after decoding and checking.
pub type Decoded = Arc<dyn Any + Send + Sync>;
