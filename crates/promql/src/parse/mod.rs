// SPDX-License-Identifier: Apache-2.0
//! PromQL text to a type-checked [`Expr`].
//!
//! A hand-written lexer and a Pratt parser. Any text is safe to give: nesting and the number of
//! operators are bounded, and errors carry the position and Prometheus' wording. Durations may be
//! expressions over `step()` and `range()`; they are resolved when a query runs.
//!
//! Grammar and precedences: Prometheus 3 documentation, "Querying basics" and "Operators".

mod check;
mod durations;
mod lexer;
mod selector;
#[cfg(test)]
mod tests;

use std::fmt;

#[cfg(feature = "testing")]
pub(crate) use lexer::parse_duration;
use lexer::{Tok, Token, lex};
pub(crate) use lexer::{UNITS, parse_number};

use crate::ast::*;
use crate::functions::Function;

/// Deepest nesting of parentheses, calls and signs: keeps recursion within a 2 MiB stack.
const DEPTH_MAX: usize = 100;
/// Most binary operators in one query: a chain of them is a tree as deep as it is long.
const OPERATORS_MAX: usize = 500;

/// Why a query does not parse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Line, from 1.
    pub line: usize,
    /// Column in bytes, from 1.
    pub column: usize,
    /// What is wrong, in Prometheus' words.
    pub message: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: parse error: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for ParseError {}

impl ParseError {
    pub(crate) fn at(text: &str, offset: usize, message: impl Into<String>) -> Self {
        let (line, column) = line_and_column(text, offset);
        ParseError { line, column, message: message.into() }
    }
}

/// Line and column, both from 1, of a byte offset.
pub(crate) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    (1 + before.iter().filter(|b| **b == b'\n').count(), 1 + before.len() - line_start)
}

/// Parses and type-checks one expression.
///
/// # Errors
/// [`ParseError`] with the position of the first mistake.
pub fn parse(text: &str) -> Result<Expr, ParseError> {
    let mut parser = Parser::new(text)?;
    if parser.peek().tok == Tok::Eof {
        return Err(parser.error_at(0, "no expression found in input"));
    }
    let expr = parser.expr(0)?;
    match parser.peek().tok {
        Tok::Eof => Ok(expr),
        _ => Err(parser.unexpected("")),
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    operators: usize,
    /// Inside `info`'s second argument a selector may match everything.
    any_selector: bool,
}

type Parsed<T> = Result<T, ParseError>;

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Parsed<Self> {
        let tokens = lex(text)?;
        Ok(Parser { text, tokens, at: 0, depth: 0, operators: 0, any_selector: false })
    }

    fn peek(&self) -> &Token {
        &self.tokens[self.at]
    }

    fn peek_after(&self) -> &Tok {
        &self.tokens[(self.at + 1).min(self.tokens.len() - 1)].tok
    }

    fn next(&mut self) -> Token {
        let token = self.tokens[self.at].clone();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        token
    }

    fn ident_text(&self) -> Option<&'a str> {
        let token = self.peek();
        (token.tok == Tok::Ident).then(|| &self.text[token.start as usize..token.end as usize])
    }

    /// True when the next token is this keyword, in any case.
    fn at_keyword(&self, word: &str) -> bool {
        self.ident_text().is_some_and(|t| t.eq_ignore_ascii_case(word))
    }

    fn eat(&mut self, tok: &Tok) -> bool {
        let found = self.peek().tok == *tok;
        if found {
            self.next();
        }
        found
    }

    fn expect(&mut self, tok: &Tok, context: &str) -> Parsed<Token> {
        if self.peek().tok == *tok { Ok(self.next()) } else { Err(self.unexpected(context)) }
    }

    fn error_at(&self, offset: u32, message: impl Into<String>) -> ParseError {
        ParseError::at(self.text, offset as usize, message)
    }

    /// "unexpected X in CONTEXT".
    fn unexpected(&self, context: &str) -> ParseError {
        let token = self.peek();
        let opened = |tok: &Tok| self.tokens.iter().filter(|token| token.tok == *tok).count();
        if token.tok == Tok::Eof && opened(&Tok::LParen) > opened(&Tok::RParen) {
            return self.error_at(token.start, "unclosed left parenthesis");
        }
        let text = &self.text[token.start as usize..token.end as usize];
        let found = match &token.tok {
            Tok::Eof => "end of input".to_owned(),
            Tok::Ident => format!("identifier {text:?}"),
            Tok::Number(_) => format!("number {text:?}"),
            Tok::Duration(_) => format!("duration {text:?}"),
            Tok::Str(_) => format!("string {text}"),
            _ => format!("{text:?}"),
        };
        let message = match context {
            "" => format!("unexpected {found}"),
            _ => format!("unexpected {found} in {context}"),
        };
        self.error_at(token.start, message)
    }

    fn deeper<T>(&mut self, run: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == DEPTH_MAX {
            return Err(self.error_at(self.peek().start, "expression is nested too deeply"));
        }
        self.depth += 1;
        let result = run(self);
        self.depth -= 1;
        result
    }

    /// End of the token before the current one.
    fn last_end(&self) -> u32 {
        self.tokens[self.at.saturating_sub(1)].end
    }

    fn node(&self, kind: ExprKind, start: u32) -> Expr {
        Expr { kind, span: Span { start, end: self.last_end() } }
    }

    /// Operators of at least `binding` strength and their operands.
    fn expr(&mut self, binding: u8) -> Parsed<Expr> {
        let mut left = self.deeper(Self::signed)?;
        while let Some(op) = self.peek_operator() {
            let strength = op.precedence();
            if strength < binding {
                break;
            }
            self.next();
            self.operators += 1;
            if self.operators > OPERATORS_MAX {
                return Err(self.error_at(left.span.start, "expression has too many operators"));
            }
            let (return_bool, matching, explicit) = self.modifiers()?;
            let right_binding = if op == BinaryOp::Pow { strength } else { strength + 1 };
            let right = self.expr(right_binding)?;
            let start = left.span.start;
            let binary = Binary { op, left, right, return_bool, matching };
            check::binary(self, &binary, explicit)?;
            left = self.node(ExprKind::Binary(Box::new(binary)), start);
        }
        Ok(left)
    }

    fn peek_operator(&self) -> Option<BinaryOp> {
        match self.peek().tok {
            Tok::Op(op) => Some(op),
            Tok::Ident if self.at_keyword("and") => Some(BinaryOp::And),
            Tok::Ident if self.at_keyword("or") => Some(BinaryOp::Or),
            Tok::Ident if self.at_keyword("unless") => Some(BinaryOp::Unless),
            Tok::Ident if self.at_keyword("atan2") => Some(BinaryOp::Atan2),
            _ => None,
        }
    }

    /// `bool`, `on`/`ignoring`, `group_left`/`group_right`, `fill...` after an operator.
    /// The last of the result tells whether any matching was written.
    fn modifiers(&mut self) -> Parsed<(bool, Matching, bool)> {
        let mut matching = Matching::default();
        let return_bool = self.at_keyword("bool");
        if return_bool {
            self.next();
        }
        let mut explicit = false;
        let labels_follow = *self.peek_after() == Tok::LParen;
        if labels_follow && (self.at_keyword("on") || self.at_keyword("ignoring")) {
            matching.on = self.at_keyword("on");
            self.next();
            matching.labels = self.labels("grouping opts")?;
            explicit = true;
            if self.at_keyword("group_left") || self.at_keyword("group_right") {
                matching.group =
                    if self.at_keyword("group_left") { Group::Left } else { Group::Right };
                self.next();
                if self.peek().tok == Tok::LParen {
                    matching.include = self.labels("grouping opts")?;
                }
            }
        } else if self.at_keyword("group_left") || self.at_keyword("group_right") {
            return Err(self.unexpected("binary expression, expected \"on\" or \"ignoring\" first"));
        }
        while *self.peek_after() == Tok::LParen {
            let (left, right) = match self.ident_text().map(str::to_ascii_lowercase).as_deref() {
                Some("fill") => (true, true),
                Some("fill_left") => (true, false),
                Some("fill_right") => (false, true),
                _ => break,
            };
            self.next();
            self.next();
            let value = self.signed_number("fill modifier")?;
            self.expect(&Tok::RParen, "fill modifier")?;
            if left {
                matching.fill_left = Some(value);
            }
            if right {
                matching.fill_right = Some(value);
            }
            explicit = true;
        }
        Ok((return_bool, matching, explicit))
    }

    fn signed_number(&mut self, context: &str) -> Parsed<f64> {
        let negative = match self.peek().tok {
            Tok::Op(BinaryOp::Sub) => true,
            Tok::Op(BinaryOp::Add) => false,
            _ => return self.plain_number(context),
        };
        self.next();
        let value = self.plain_number(context)?;
        Ok(if negative { -value } else { value })
    }

    fn plain_number(&mut self, context: &str) -> Parsed<f64> {
        let value = match &self.peek().tok {
            Tok::Number(value) | Tok::Duration(value) => Some(*value),
            Tok::Ident => self.ident_text().and_then(word_number),
            _ => None,
        };
        let value = value.ok_or_else(|| self.unexpected(context))?;
        self.next();
        Ok(value)
    }

    /// `(a, "b", c)`.
    fn labels(&mut self, context: &str) -> Parsed<Vec<String>> {
        self.expect(&Tok::LParen, context)?;
        let mut labels = vec![];
        while self.peek().tok != Tok::RParen {
            let name = match &self.peek().tok {
                Tok::Ident => self.ident_text().map(str::to_owned),
                Tok::Str(text) if text.raw.is_none() && !text.value.is_empty() => {
                    Some(text.value.clone())
                }
                _ => None,
            };
            let name = name
                .filter(|n| !n.contains(':') || self.peek().tok != Tok::Ident)
                .ok_or_else(|| self.unexpected(&format!("{context}, expected label")))?;
            self.next();
            labels.push(name);
            if !self.eat(&Tok::Comma) && self.peek().tok != Tok::RParen {
                return Err(self.unexpected(&format!("{context}, expected \",\" or \")\"")));
            }
        }
        self.next();
        Ok(labels)
    }

    /// A sign binds weaker than `^` and stronger than `*`.
    fn signed(&mut self) -> Parsed<Expr> {
        let negative = match self.peek().tok {
            Tok::Op(BinaryOp::Sub) => true,
            Tok::Op(BinaryOp::Add) => false,
            _ => {
                let primary = self.primary()?;
                return self.postfix(primary);
            }
        };
        let start = self.next().start;
        let expr = self.expr(BinaryOp::Pow.precedence())?;
        if let ExprKind::Number { value, duration } = expr.kind {
            let value = if negative { -value } else { value };
            return Ok(self.node(ExprKind::Number { value, duration }, start));
        }
        check::unary(self, &expr, start)?;
        Ok(self.node(ExprKind::Unary { negative, expr: Box::new(expr) }, start))
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let token = self.peek().clone();
        let start = token.start;
        match token.tok {
            Tok::Number(value) => {
                self.next();
                Ok(self.node(ExprKind::Number { value, duration: false }, start))
            }
            Tok::Duration(value) => {
                self.next();
                Ok(self.node(ExprKind::Number { value, duration: true }, start))
            }
            Tok::Str(text) => {
                self.next();
                Ok(self.node(ExprKind::String(text), start))
            }
            Tok::LParen => {
                self.next();
                let inner = self.expr(0)?;
                if self.peek().tok == Tok::Eof {
                    return Err(self.error_at(self.peek().start, "unclosed left parenthesis"));
                }
                self.expect(&Tok::RParen, "paren expression")?;
                Ok(self.node(ExprKind::Paren(Box::new(inner)), start))
            }
            Tok::LBrace => self.selector(None),
            Tok::Ident => self.named(),
            _ => Err(self.unexpected("")),
        }
    }

    /// What starts with a name: number word, aggregation, call or selector.
    fn named(&mut self) -> Parsed<Expr> {
        let start = self.peek().start;
        let name = self.ident_text().unwrap_or_default();
        let before_paren = *self.peek_after() == Tok::LParen;
        if let Some(op) = AggregateOp::parse(name) {
            let grouped = matches!(self.peek_after(), Tok::Ident) && self.grouping_follows();
            if before_paren || grouped {
                return self.aggregate(op);
            }
        }
        if before_paren {
            return self.call();
        }
        if let Some(value) = word_number(name)
            && *self.peek_after() != Tok::LBrace
        {
            self.next();
            return Ok(self.node(ExprKind::Number { value, duration: false }, start));
        }
        self.next();
        self.selector(Some((name.to_owned(), start)))
    }

    fn grouping_follows(&self) -> bool {
        let Some(token) = self.tokens.get(self.at + 1) else { return false };
        let word = &self.text[token.start as usize..token.end as usize];
        word.eq_ignore_ascii_case("by") || word.eq_ignore_ascii_case("without")
    }

    fn grouping(&mut self) -> Parsed<Option<(Vec<String>, bool)>> {
        if self.at_keyword("by") || self.at_keyword("without") {
            let without = self.at_keyword("without");
            self.next();
            return Ok(Some((self.labels("grouping opts")?, without)));
        }
        Ok(None)
    }

    fn aggregate(&mut self, op: AggregateOp) -> Parsed<Expr> {
        let start = self.next().start;
        let before = self.grouping()?;
        let args = self.args("aggregation", None)?;
        let after = match before {
            Some(_) => None,
            None => self.grouping()?,
        };
        let (grouping, without) = before.or(after).unwrap_or_default();
        let (param, expr) = check::aggregate(self, op, args, start)?;
        let aggregate = Aggregate { op, expr, param, grouping, without };
        Ok(self.node(ExprKind::Aggregate(Box::new(aggregate)), start))
    }

    fn call(&mut self) -> Parsed<Expr> {
        let name = self.ident_text().unwrap_or_default();
        let start = self.peek().start;
        let function = Function::find(&name.to_ascii_lowercase())
            .filter(|f| f.name == name || matches!(f.name, "step" | "range" | "start" | "end"))
            .ok_or_else(|| self.error_at(start, format!("unknown function with name {name:?}")))?;
        self.next();
        let args = self.args("function call", Some(function))?;
        check::call(self, function, &args, start)?;
        Ok(self.node(ExprKind::Call { function, args }, start))
    }

    fn args(&mut self, context: &str, function: Option<&Function>) -> Parsed<Vec<Expr>> {
        self.expect(&Tok::LParen, context)?;
        let mut args = vec![];
        if self.eat(&Tok::RParen) {
            return Ok(args);
        }
        loop {
            let outer = self.any_selector;
            self.any_selector = function.is_some_and(|f| f.name == "info") && args.len() == 1;
            let arg = self.expr(0);
            self.any_selector = outer;
            args.push(arg?);
            if self.eat(&Tok::RParen) {
                return Ok(args);
            }
            if self.peek().tok == Tok::Eof {
                return Err(self.error_at(self.peek().start, "unclosed left parenthesis"));
            }
            self.expect(&Tok::Comma, context)?;
            if self.peek().tok == Tok::RParen {
                return Err(self.error_at(
                    self.last_end() - 1,
                    "trailing commas not allowed in function call args",
                ));
            }
        }
    }
}

/// `inf` and `nan` in any case.
fn word_number(word: &str) -> Option<f64> {
    if word.eq_ignore_ascii_case("inf") {
        Some(f64::INFINITY)
    } else if word.eq_ignore_ascii_case("nan") {
        Some(f64::NAN)
    } else {
        None
    }
}
