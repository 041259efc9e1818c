// SPDX-License-Identifier: Apache-2.0
//! What each node of a query took: the tree that `explain` shows.
//!
//! Off unless asked for; then each node costs two looks at the clock, and each column of a node
//! that streams two more: what the taker of a column does with it is the taker's time.

use std::time::{Duration, Instant};

use super::Evaluation;
use crate::ast::{Expr, ExprKind};
use crate::value::Explain;

/// The nodes that are being evaluated, outermost first, each with its finished children.
#[derive(Debug, Default)]
pub(crate) struct Profile {
    open: Vec<Explain>,
    finished: Vec<Explain>,
}

impl Profile {
    /// The finished tree.
    pub(crate) fn into_tree(mut self) -> Option<Explain> {
        self.finished.pop()
    }
}

/// When a node began, and what had been read by then.
pub(super) struct Entered {
    begin: Instant,
    elsewhere: Duration,
    samples: u64,
    depth: usize,
}

impl Entered {
    /// Part of the time went to somebody else.
    pub(super) fn without(self, elsewhere: Duration) -> Self {
        Entered { elsewhere, ..self }
    }
}

impl Evaluation<'_> {
    pub(super) fn enter(&mut self, expr: &Expr) -> Option<Entered> {
        let profile = self.profile.as_mut()?;
        let depth = profile.open.len();
        profile.open.push(Explain { node: describe(expr), ..Explain::default() });
        let samples = self.stats.samples_read;
        Some(Entered { begin: Instant::now(), elsewhere: Duration::ZERO, samples, depth })
    }

    pub(super) fn leave(&mut self, entered: Option<Entered>, columns: usize) {
        let (Some(profile), Some(entered)) = (&mut self.profile, entered) else { return };
        // A node that failed on the way is not told of.
        profile.open.truncate(entered.depth + 1);
        let Some(mut node) = profile.open.pop() else { return };
        node.series = columns;
        node.samples = self.stats.samples_read - entered.samples;
        node.time = entered.begin.elapsed().saturating_sub(entered.elsewhere);
        match profile.open.last_mut() {
            Some(parent) => parent.children.push(node),
            None => profile.finished.push(node),
        }
    }
}

/// A node without its operands; a selector as written.
fn describe(expr: &Expr) -> String {
    match &expr.kind {
        ExprKind::Call { function, args } => {
            let selectors = args.iter().filter(|a| matches!(a.kind, ExprKind::Matrix { .. }));
            let shown: Vec<String> = selectors.map(Expr::to_string).collect();
            format!("{}({})", function.name, shown.join(", "))
        }
        ExprKind::Aggregate(a) if a.without => {
            format!("{} without ({})", a.op.name(), a.grouping.join(", "))
        }
        ExprKind::Aggregate(a) if a.grouping.is_empty() => a.op.name().to_owned(),
        ExprKind::Aggregate(a) => format!("{} by ({})", a.op.name(), a.grouping.join(", ")),
        ExprKind::Binary(b) => b.op.symbol().to_owned(),
        ExprKind::Unary { negative: true, .. } => "-".to_owned(),
        ExprKind::Unary { .. } => "+".to_owned(),
        ExprKind::Paren(_) => "()".to_owned(),
        _ => expr.to_string(),
    }
}
