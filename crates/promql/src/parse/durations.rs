// SPDX-License-Identifier: Apache-2.0
//! Duration expressions: full arithmetic inside brackets, a single term after `offset`.

use super::lexer::Tok;
use super::{Parsed, Parser};
use crate::ast::{BinaryOp, DurationExpr};

impl Parser<'_> {
    /// Arithmetic of at least `binding` strength, as inside `[...]`.
    pub(super) fn duration(&mut self, binding: u8) -> Parsed<DurationExpr> {
        let mut left = self.deeper(|p| p.duration_term(true))?;
        while let Tok::Op(op) = self.peek().tok {
            use BinaryOp::*;
            if !matches!(op, Add | Sub | Mul | Div | Mod | Pow) || op.precedence() < binding {
                break;
            }
            let at = self.next().start;
            self.operators += 1;
            if self.operators > super::OPERATORS_MAX {
                return Err(self.error_at(at, "expression has too many operators"));
            }
            let right_binding = op.precedence() + u8::from(op != Pow);
            let right = self.duration(right_binding)?;
            if matches!(op, Div | Mod) && right.is_constant() && right.seconds(0.0, 0.0) == 0.0 {
                let what = if op == Div { "division" } else { "modulo" };
                return Err(self.error_at(at, format!("{what} by zero")));
            }
            left = DurationExpr::Binary(op, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    /// A sign and one term. Inside brackets the sign covers a power: `-2 ^ 2`.
    pub(super) fn duration_term(&mut self, in_brackets: bool) -> Parsed<DurationExpr> {
        let negative = match self.peek().tok {
            Tok::Op(BinaryOp::Sub) => true,
            Tok::Op(BinaryOp::Add) => false,
            _ => return self.duration_primary(),
        };
        self.next();
        let inner = match in_brackets {
            true => self.duration(BinaryOp::Pow.precedence())?,
            false => self.duration_primary()?,
        };
        Ok(match inner {
            DurationExpr::Constant { seconds, duration } => DurationExpr::Constant {
                seconds: if negative { -seconds } else { seconds },
                duration,
            },
            inner => DurationExpr::Sign(negative, Box::new(inner)),
        })
    }

    fn duration_primary(&mut self) -> Parsed<DurationExpr> {
        const CONTEXT: &str = "duration expression, expected number or duration";
        match self.peek().tok {
            Tok::Number(seconds) => {
                self.next();
                Ok(DurationExpr::Constant { seconds, duration: false })
            }
            Tok::Duration(seconds) => {
                self.next();
                Ok(DurationExpr::Constant { seconds, duration: true })
            }
            Tok::LParen => {
                self.next();
                let inner = self.duration(0)?;
                self.expect(&Tok::RParen, "duration expression")?;
                Ok(DurationExpr::Paren(Box::new(inner)))
            }
            Tok::Ident if *self.peek_after() == Tok::LParen => self.duration_call(CONTEXT),
            _ => Err(self.unexpected(CONTEXT)),
        }
    }

    fn duration_call(&mut self, context: &str) -> Parsed<DurationExpr> {
        let word = self.ident_text().unwrap_or_default().to_ascii_lowercase();
        if !matches!(word.as_str(), "step" | "range" | "min_of" | "max_of") {
            return Err(self.unexpected(context));
        }
        self.next();
        self.next();
        let value = match word.as_str() {
            "step" => DurationExpr::Step,
            "range" => DurationExpr::Range,
            _ => {
                let left = self.duration(0)?;
                self.expect(&Tok::Comma, "duration expression")?;
                let right = self.duration(0)?;
                DurationExpr::Pick { max: word == "max_of", of: Box::new((left, right)) }
            }
        };
        self.expect(&Tok::RParen, "duration expression")?;
        Ok(value)
    }

    /// A window length or a subquery's step: more than zero when it is constant.
    pub(super) fn positive_duration(&mut self) -> Parsed<DurationExpr> {
        let start = self.peek().start;
        let value = self.duration(0)?;
        if value.is_constant() {
            let seconds = value.seconds(0.0, 0.0);
            if seconds * 1000.0 < 1.0 || seconds.is_nan() {
                return Err(self.error_at(start, "duration must be greater than 0"));
            }
            self.check_range(seconds, start)?;
        }
        Ok(value)
    }

    /// A duration must fit Go's 64-bit nanoseconds, as upstream's do.
    pub(super) fn check_range(&self, seconds: f64, start: u32) -> Parsed<()> {
        if seconds.abs() > (i64::MAX / 1_000_000_000) as f64 || seconds.is_nan() {
            return Err(self.error_at(start, "duration out of range"));
        }
        Ok(())
    }
}
