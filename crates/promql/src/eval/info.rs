// SPDX-License-Identifier: Apache-2.0
//! `info`: adds labels of info metrics to series.

use super::column::Column;
use super::{Evaluated, Evaluation, failed};
use crate::ast::Expr;
use crate::engine::Grid;

impl Evaluation<'_> {
    pub(super) fn info(&mut self, _: &[Expr], _: Grid) -> Evaluated<Vec<Column>> {
        failed("info() is not available yet")
    }

    pub(super) fn smoothed_instants(
        &mut self,
        _: &crate::ast::VectorSelector,
        _: Grid,
    ) -> Evaluated<Vec<Column>> {
        failed("smoothed selectors are not available yet")
    }
}
