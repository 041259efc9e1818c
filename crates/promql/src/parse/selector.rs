// SPDX-License-Identifier: Apache-2.0
//! Selectors and what may follow one: ranges, subqueries, `offset`, `@`, `anchored`, `smoothed`.

use basics::labels::{METRIC_NAME, MatchOp, Matcher};

use super::lexer::Tok;
use super::{Parsed, Parser};
use crate::ast::*;

impl Parser<'_> {
    /// `{...}` after an optional name, which was read already.
    pub(super) fn selector(&mut self, name: Option<(String, u32)>) -> Parsed<Expr> {
        let start = name.as_ref().map_or(self.peek().start, |(_, start)| *start);
        let mut name = name.map(|(name, _)| name);
        let mut matchers = vec![];
        if self.eat(&Tok::LBrace) {
            while !self.eat(&Tok::RBrace) {
                self.matcher(&mut name, &mut matchers)?;
                if !self.eat(&Tok::Comma) && self.peek().tok != Tok::RBrace {
                    return Err(self.unexpected("label matching, expected \",\" or \"}\""));
                }
            }
        }
        if let Some(name) = name {
            if let Some(other) = matchers.iter().find(|m| m.name.as_ref() == METRIC_NAME) {
                let message =
                    format!("metric name must not be set twice: {name:?} or {:?}", other.value);
                return Err(self.error_at(start, message));
            }
            matchers.push(self.compile(MatchOp::Equal, METRIC_NAME, &name, start)?);
        }
        if !self.any_selector && matchers.iter().all(|m| m.matches("")) {
            let message = "vector selector must contain at least one non-empty matcher";
            return Err(self.error_at(start, message));
        }
        let selector =
            VectorSelector { matchers, offset: DurationExpr::ZERO, at: None, edges: Edges::Plain };
        Ok(self.node(ExprKind::Vector(selector), start))
    }

    /// One `label op "value"`, or a quoted metric name.
    fn matcher(&mut self, name: &mut Option<String>, out: &mut Vec<Matcher>) -> Parsed<()> {
        let token = self.next();
        let label = match token.tok {
            Tok::Ident => self.text[token.start as usize..token.end as usize].to_owned(),
            Tok::Str(text) if text.raw.is_none() => text.value,
            _ => {
                self.at -= usize::from(token.tok != Tok::Eof);
                return Err(self.unexpected("label matching, expected identifier or \"}\""));
            }
        };
        let quoted = self.text.as_bytes()[token.start as usize] != b'_'
            && !self.text.as_bytes()[token.start as usize].is_ascii_alphabetic();
        if quoted && matches!(self.peek().tok, Tok::Comma | Tok::RBrace) {
            if let Some(first) = name {
                let message = format!("metric name must not be set twice: {first:?} or {label:?}");
                return Err(self.error_at(token.start, message));
            }
            *name = Some(label);
            return Ok(());
        }
        if !quoted && label.contains(':') {
            self.at -= 1;
            return Err(self.unexpected("label matching, expected identifier or \"}\""));
        }
        let op = match self.peek().tok {
            Tok::Assign => MatchOp::Equal,
            Tok::Op(BinaryOp::Ne) => MatchOp::NotEqual,
            Tok::MatchRegex => MatchOp::Regex,
            Tok::NotRegex => MatchOp::NotRegex,
            _ => return Err(self.unexpected("label matching, expected label matching operator")),
        };
        self.next();
        let Tok::Str(value) = self.peek().tok.clone() else {
            return Err(self.unexpected("label matching, expected string"));
        };
        self.next();
        out.push(self.compile(op, &label, &value.value, token.start)?);
        Ok(())
    }

    fn compile(&self, op: MatchOp, name: &str, value: &str, start: u32) -> Parsed<Matcher> {
        Matcher::new(op, name, value).map_err(|e| self.error_at(start, e.message()))
    }

    /// Everything that may follow a primary expression.
    pub(super) fn postfix(&mut self, mut expr: Expr) -> Parsed<Expr> {
        loop {
            let start = expr.span.start;
            expr = match self.peek().tok {
                Tok::LBracket => self.brackets(expr)?,
                Tok::At => {
                    self.at_modifier(&mut expr)?;
                    self.node(expr.kind, start)
                }
                Tok::Ident if self.at_keyword("offset") => {
                    self.offset(&mut expr)?;
                    self.node(expr.kind, start)
                }
                Tok::Ident if self.at_keyword("anchored") || self.at_keyword("smoothed") => {
                    self.edges(&mut expr)?;
                    self.node(expr.kind, start)
                }
                _ => return Ok(expr),
            }
        }
    }

    fn brackets(&mut self, expr: Expr) -> Parsed<Expr> {
        let start = expr.span.start;
        let bracket = self.next().start;
        let range = self.positive_duration()?;
        if self.eat(&Tok::Colon) {
            let step = match self.peek().tok {
                Tok::RBracket => None,
                _ => Some(self.positive_duration()?),
            };
            self.expect(&Tok::RBracket, "subquery or range selector, expected \"]\"")?;
            if expr.value_type() != ValueType::Vector {
                let message = format!(
                    "subquery is only allowed on instant vector, got {} instead",
                    expr.value_type()
                );
                return Err(self.error_at(start, message));
            }
            let subquery = Subquery { expr, range, step, offset: DurationExpr::ZERO, at: None };
            return Ok(self.node(ExprKind::Subquery(Box::new(subquery)), start));
        }
        self.expect(&Tok::RBracket, "subquery or range, expected \":\" or \"]\"")?;
        let ExprKind::Vector(selector) = expr.kind else {
            return Err(self.error_at(bracket, "ranges only allowed for vector selectors"));
        };
        if selector.offset != DurationExpr::ZERO {
            return Err(self.error_at(bracket, "no offset modifiers allowed before range"));
        }
        if selector.at.is_some() {
            return Err(self.error_at(bracket, "no @ modifiers allowed before range"));
        }
        Ok(self.node(ExprKind::Matrix { selector, range }, start))
    }

    fn offset(&mut self, expr: &mut Expr) -> Parsed<()> {
        self.next();
        let start = self.peek().start;
        let value = self.duration_term(false)?;
        if value.is_constant() {
            self.check_range(value.seconds(0.0, 0.0), start)?;
        }
        let slot = match &mut expr.kind {
            ExprKind::Vector(selector) | ExprKind::Matrix { selector, .. } => &mut selector.offset,
            ExprKind::Subquery(subquery) => &mut subquery.offset,
            _ => {
                let message = "offset modifier must be preceded by an instant vector selector or \
                               range vector selector or a subquery";
                return Err(self.error_at(expr.span.start, message));
            }
        };
        if *slot != DurationExpr::ZERO {
            let message = "offset may not be set multiple times";
            return Err(self.error_at(expr.span.start, message));
        }
        *slot = value;
        Ok(())
    }

    fn at_modifier(&mut self, expr: &mut Expr) -> Parsed<()> {
        let start = self.next().start;
        let bound = *self.peek_after() == Tok::LParen;
        let at = if bound && (self.at_keyword("start") || self.at_keyword("end")) {
            let at = if self.at_keyword("start") { At::Start } else { At::End };
            self.next();
            self.next();
            self.expect(&Tok::RParen, "@ modifier")?;
            at
        } else {
            let seconds = self.signed_number("@ modifier, expected timestamp")?;
            let millis = (seconds * 1000.0).round();
            if millis.is_nan() || millis.abs() >= i64::MAX as f64 {
                let message = format!("timestamp out of bounds for @ modifier: {seconds}");
                return Err(self.error_at(start, message));
            }
            At::Time(millis as i64)
        };
        let slot = match &mut expr.kind {
            ExprKind::Vector(selector) | ExprKind::Matrix { selector, .. } => &mut selector.at,
            ExprKind::Subquery(subquery) => &mut subquery.at,
            _ => {
                let message = "@ modifier must be preceded by an instant vector selector or \
                               range vector selector or a subquery";
                return Err(self.error_at(expr.span.start, message));
            }
        };
        if slot.is_some() {
            let message = "@ <timestamp> may not be set multiple times";
            return Err(self.error_at(expr.span.start, message));
        }
        *slot = Some(at);
        Ok(())
    }

    fn edges(&mut self, expr: &mut Expr) -> Parsed<()> {
        let anchored = self.at_keyword("anchored");
        let start = self.peek().start;
        let selector = match &mut expr.kind {
            ExprKind::Matrix { selector, .. } => selector,
            ExprKind::Vector(selector) if !anchored => selector,
            ExprKind::Vector(_) => {
                return Err(
                    self.error_at(start, "anchored modifier must be preceded by a range selector")
                );
            }
            _ => return Err(self.unexpected("")),
        };
        if selector.edges != Edges::Plain {
            let message = "anchored and smoothed modifiers cannot be used together";
            return Err(self.error_at(start, message));
        }
        selector.edges = if anchored { Edges::Anchored } else { Edges::Smoothed };
        self.next();
        Ok(())
    }
}
