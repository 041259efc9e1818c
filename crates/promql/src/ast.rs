// SPDX-License-Identifier: Apache-2.0
//! The syntax tree of a PromQL expression.
//!
//! [`crate::parse`] makes it, type-checked: an evaluator never meets a range vector where an
//! instant vector is needed. Each node knows its [`Span`] in the query text, which is where
//! annotations point. Two trees are equal when they mean the same: spans do not count.
//! `Display` prints canonical PromQL that parses to an equal tree.

use std::fmt;

use basics::labels::Matcher;

use crate::functions::Function;

/// Byte range in the query text. All spans compare equal, so trees compare by meaning.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl PartialEq for Span {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// What an expression evaluates to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// One number per step.
    Scalar,
    /// A string.
    String,
    /// One sample per series and step.
    Vector,
    /// A window of samples per series and step.
    Matrix,
    /// Nothing: only as the unused type of a function's parameter.
    None,
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ValueType::Scalar => "scalar",
            ValueType::String => "string",
            ValueType::Vector => "instant vector",
            ValueType::Matrix => "range vector",
            ValueType::None => "none",
        })
    }
}

/// A node with its place in the query text.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it was written.
    pub span: Span,
}

/// The kinds of nodes.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A number; `duration` when it was written as one (`5m` is 300).
    Number {
        /// Seconds for a duration.
        value: f64,
        /// Printed as a duration.
        duration: bool,
    },
    /// A string literal.
    String(Text),
    /// An instant vector selector.
    Vector(VectorSelector),
    /// A range vector selector: `selector[range]`.
    Matrix {
        /// What to select.
        selector: VectorSelector,
        /// Window length.
        range: DurationExpr,
    },
    /// `expr[range:step]`.
    Subquery(Box<Subquery>),
    /// A function call.
    Call {
        /// Which function.
        function: &'static Function,
        /// Its arguments, type-checked.
        args: Vec<Expr>,
    },
    /// An aggregation.
    Aggregate(Box<Aggregate>),
    /// A binary operation.
    Binary(Box<Binary>),
    /// `-expr` (`negative`) or `+expr`.
    Unary {
        /// True for minus.
        negative: bool,
        /// Operand.
        expr: Box<Expr>,
    },
    /// `(expr)`.
    Paren(Box<Expr>),
}

/// A string literal; `raw` is set only when its bytes are not UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The text; invalid bytes replaced.
    pub value: String,
    /// The bytes as written, when they are not UTF-8.
    pub raw: Option<Box<[u8]>>,
}

/// `@` modifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// `@ 12.5`, in milliseconds.
    Time(i64),
    /// `@ start()`: start of the whole query.
    Start,
    /// `@ end()`: end of the whole query.
    End,
}

/// How a window's edges are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Edges {
    /// Only samples inside the left-open window.
    #[default]
    Plain,
    /// `anchored`: the last sample before each edge stands at the edge.
    Anchored,
    /// `smoothed`: values at the edges are interpolated.
    Smoothed,
}

/// `name{matchers} @ t offset d`.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorSelector {
    /// All conditions, the metric name among them.
    pub matchers: Vec<Matcher>,
    /// `offset`, zero when absent.
    pub offset: DurationExpr,
    /// `@`.
    pub at: Option<At>,
    /// `anchored` or `smoothed`.
    pub edges: Edges,
}

impl VectorSelector {
    /// The metric name when one is required exactly, else `""`.
    pub fn name(&self) -> &str {
        use basics::labels::{METRIC_NAME, MatchOp};
        self.matchers
            .iter()
            .find(|m| m.op == MatchOp::Equal && m.name.as_ref() == METRIC_NAME)
            .map_or("", |m| &m.value)
    }
}

/// `expr[range:step] @ t offset d`.
#[derive(Clone, Debug, PartialEq)]
pub struct Subquery {
    /// What is evaluated at each inner step.
    pub expr: Expr,
    /// Window length.
    pub range: DurationExpr,
    /// Inner step; the engine's default when absent.
    pub step: Option<DurationExpr>,
    /// `offset`, zero when absent.
    pub offset: DurationExpr,
    /// `@`.
    pub at: Option<At>,
}

/// A duration, constant or computed from the query's own step and range.
#[derive(Clone, Debug, PartialEq)]
pub enum DurationExpr {
    /// Milliseconds; `duration` when written with units.
    Constant {
        /// In seconds, as numbers in PromQL are.
        seconds: f64,
        /// Printed as a duration.
        duration: bool,
    },
    /// `step()` of the query.
    Step,
    /// `range()` of the query: end - start.
    Range,
    /// `-x`, `+x`.
    Sign(bool, Box<DurationExpr>),
    /// Arithmetic.
    Binary(BinaryOp, Box<DurationExpr>, Box<DurationExpr>),
    /// `min_of(a, b)`, `max_of(a, b)`.
    Pick {
        /// True for `max_of`.
        max: bool,
        /// The two candidates.
        of: Box<(DurationExpr, DurationExpr)>,
    },
    /// `(x)`.
    Paren(Box<DurationExpr>),
}

impl DurationExpr {
    /// No duration.
    pub const ZERO: DurationExpr = DurationExpr::Constant { seconds: 0.0, duration: false };

    /// Seconds, with the query's step and range.
    pub fn seconds(&self, step: f64, range: f64) -> f64 {
        match self {
            DurationExpr::Constant { seconds, .. } => *seconds,
            DurationExpr::Step => step,
            DurationExpr::Range => range,
            DurationExpr::Sign(negative, inner) => {
                let value = inner.seconds(step, range);
                if *negative { -value } else { value }
            }
            DurationExpr::Binary(op, left, right) => {
                op.apply(left.seconds(step, range), right.seconds(step, range))
            }
            DurationExpr::Pick { max, of } => {
                let (a, b) = (of.0.seconds(step, range), of.1.seconds(step, range));
                if *max { a.max(b) } else { a.min(b) }
            }
            DurationExpr::Paren(inner) => inner.seconds(step, range),
        }
    }

    /// True when the value does not depend on the query.
    pub fn is_constant(&self) -> bool {
        match self {
            DurationExpr::Constant { .. } => true,
            DurationExpr::Step | DurationExpr::Range => false,
            DurationExpr::Sign(_, inner) | DurationExpr::Paren(inner) => inner.is_constant(),
            DurationExpr::Binary(_, l, r) => l.is_constant() && r.is_constant(),
            DurationExpr::Pick { of, .. } => of.0.is_constant() && of.1.is_constant(),
        }
    }
}

/// An aggregation: `op by (labels) (param, expr)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// Which one.
    pub op: AggregateOp,
    /// What is aggregated.
    pub expr: Expr,
    /// `k`, the quantile, or the label of `count_values`.
    pub param: Option<Expr>,
    /// Labels of `by` or `without`.
    pub grouping: Vec<String>,
    /// True for `without`.
    pub without: bool,
}

/// The aggregators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AggregateOp {
    /// `avg`
    Avg,
    /// `bottomk`
    BottomK,
    /// `count`
    Count,
    /// `count_values`
    CountValues,
    /// `group`
    Group,
    /// `limitk`
    LimitK,
    /// `limit_ratio`
    LimitRatio,
    /// `max`
    Max,
    /// `min`
    Min,
    /// `quantile`
    Quantile,
    /// `stddev`
    Stddev,
    /// `stdvar`
    Stdvar,
    /// `sum`
    Sum,
    /// `topk`
    TopK,
}

impl AggregateOp {
    /// Every aggregator with its name.
    pub const ALL: [(&'static str, AggregateOp); 14] = [
        ("avg", AggregateOp::Avg),
        ("bottomk", AggregateOp::BottomK),
        ("count", AggregateOp::Count),
        ("count_values", AggregateOp::CountValues),
        ("group", AggregateOp::Group),
        ("limitk", AggregateOp::LimitK),
        ("limit_ratio", AggregateOp::LimitRatio),
        ("max", AggregateOp::Max),
        ("min", AggregateOp::Min),
        ("quantile", AggregateOp::Quantile),
        ("stddev", AggregateOp::Stddev),
        ("stdvar", AggregateOp::Stdvar),
        ("sum", AggregateOp::Sum),
        ("topk", AggregateOp::TopK),
    ];

    /// The aggregator of that name, in any case.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, op)| *op)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, op)| *op == self).map_or("", |(n, _)| n)
    }

    /// True when a parameter comes before the expression.
    pub fn takes_param(self) -> bool {
        use AggregateOp::*;
        matches!(self, BottomK | CountValues | LimitK | LimitRatio | Quantile | TopK)
    }
}

/// A binary operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Binary {
    /// Operator.
    pub op: BinaryOp,
    /// Left operand.
    pub left: Expr,
    /// Right operand.
    pub right: Expr,
    /// `bool` after a comparison.
    pub return_bool: bool,
    /// How series pair up; used when both sides are vectors.
    pub matching: Matching,
}

/// Which series of the two sides belong together.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Matching {
    /// True for `on`, false for `ignoring` and for neither.
    pub on: bool,
    /// The labels of `on` or `ignoring`.
    pub labels: Vec<String>,
    /// `group_left`, `group_right` or neither.
    pub group: Group,
    /// Labels copied from the "one" side.
    pub include: Vec<String>,
    /// `fill_left`: value of a missing left sample.
    pub fill_left: Option<f64>,
    /// `fill_right`: value of a missing right sample.
    pub fill_right: Option<f64>,
}

/// Cardinality of a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Group {
    /// One sample on each side.
    #[default]
    OneToOne,
    /// `group_left`: many on the left.
    Left,
    /// `group_right`: many on the right.
    Right,
}

/// The binary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Mod,
    /// `^`
    Pow,
    /// `atan2`
    Atan2,
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `</`: keeps a histogram's observations below a value.
    TrimUpper,
    /// `>/`: keeps a histogram's observations above a value.
    TrimLower,
    /// `and`
    And,
    /// `or`
    Or,
    /// `unless`
    Unless,
}

impl BinaryOp {
    /// As written in PromQL.
    pub fn symbol(self) -> &'static str {
        use BinaryOp::*;
        match self {
            Add => "+",
            Sub => "-",
            Mul => "*",
            Div => "/",
            Mod => "%",
            Pow => "^",
            Atan2 => "atan2",
            Eq => "==",
            Ne => "!=",
            Lt => "<",
            Le => "<=",
            Gt => ">",
            Ge => ">=",
            TrimUpper => "</",
            TrimLower => ">/",
            And => "and",
            Or => "or",
            Unless => "unless",
        }
    }

    /// Binding strength: `or` 1, `and`/`unless` 2, comparisons 3, `+ -` 4, `* / %` 5, `^` 6.
    pub fn precedence(self) -> u8 {
        use BinaryOp::*;
        match self {
            Or => 1,
            And | Unless => 2,
            Eq | Ne | Lt | Le | Gt | Ge | TrimUpper | TrimLower => 3,
            Add | Sub => 4,
            Mul | Div | Mod | Atan2 => 5,
            Pow => 6,
        }
    }

    /// `==`, `!=`, `<`, `<=`, `>`, `>=`.
    pub fn is_comparison(self) -> bool {
        use BinaryOp::*;
        matches!(self, Eq | Ne | Lt | Le | Gt | Ge)
    }

    /// `and`, `or`, `unless`.
    pub fn is_set(self) -> bool {
        matches!(self, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless)
    }

    /// `</` and `>/`.
    pub fn is_trim(self) -> bool {
        matches!(self, BinaryOp::TrimUpper | BinaryOp::TrimLower)
    }

    /// The operator on two numbers; comparisons give 1 or 0. Set and trim operators give NaN.
    pub fn apply(self, a: f64, b: f64) -> f64 {
        use BinaryOp::*;
        let truth = |t: bool| if t { 1.0 } else { 0.0 };
        match self {
            Add => a + b,
            Sub => a - b,
            Mul => a * b,
            Div => a / b,
            Mod => a % b,
            Pow => a.powf(b),
            Atan2 => a.atan2(b),
            Eq => truth(a == b),
            Ne => truth(a != b),
            Lt => truth(a < b),
            Le => truth(a <= b),
            Gt => truth(a > b),
            Ge => truth(a >= b),
            TrimUpper | TrimLower | And | Or | Unless => f64::NAN,
        }
    }
}

impl Expr {
    /// What the expression evaluates to.
    pub fn value_type(&self) -> ValueType {
        match &self.kind {
            ExprKind::Number { .. } => ValueType::Scalar,
            ExprKind::String(_) => ValueType::String,
            ExprKind::Vector(_) | ExprKind::Aggregate(_) => ValueType::Vector,
            ExprKind::Matrix { .. } | ExprKind::Subquery(_) => ValueType::Matrix,
            ExprKind::Call { function, .. } => function.returns,
            ExprKind::Binary(b) => {
                let scalars = b.left.value_type() == ValueType::Scalar
                    && b.right.value_type() == ValueType::Scalar;
                if scalars { ValueType::Scalar } else { ValueType::Vector }
            }
            ExprKind::Unary { expr, .. } | ExprKind::Paren(expr) => expr.value_type(),
        }
    }

    /// The expression without the parentheses around it.
    pub fn unwrap_parens(&self) -> &Expr {
        let mut at = self;
        while let ExprKind::Paren(inner) = &at.kind {
            at = inner;
        }
        at
    }

    /// Calls `visit` for this node and all below it, parents first.
    pub fn walk(&self, visit: &mut impl FnMut(&Expr)) {
        visit(self);
        match &self.kind {
            ExprKind::Subquery(s) => s.expr.walk(visit),
            ExprKind::Call { args, .. } => args.iter().for_each(|a| a.walk(visit)),
            ExprKind::Aggregate(a) => {
                if let Some(p) = &a.param {
                    p.walk(visit);
                }
                a.expr.walk(visit);
            }
            ExprKind::Binary(b) => {
                b.left.walk(visit);
                b.right.walk(visit);
            }
            ExprKind::Unary { expr, .. } | ExprKind::Paren(expr) => expr.walk(visit),
            ExprKind::Number { .. }
            | ExprKind::String(_)
            | ExprKind::Vector(_)
            | ExprKind::Matrix { .. } => {}
        }
    }
}
