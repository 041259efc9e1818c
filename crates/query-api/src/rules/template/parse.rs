// SPDX-License-Identifier: Apache-2.0
//! From text to nodes.

use super::{DEPTH_MAX, Value};

/// A piece of a template.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Text(String),
    Print(Pipe),
    /// Branches of `if` and `else if`, then of `else`.
    If(Vec<(Pipe, Vec<Node>)>, Vec<Node>),
    With(Pipe, Vec<Node>, Vec<Node>),
    Range {
        /// Names of index and element, or of the element.
        names: Vec<String>,
        over: Pipe,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
}

/// `$x := a | b c`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pipe {
    /// The variable it is given to, and whether that is new.
    pub assign: Option<(String, bool)>,
    pub commands: Vec<Command>,
}

/// Function or value, and arguments.
pub(super) type Command = Vec<Operand>;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand {
    Literal(Value),
    /// A function's name.
    Name(String),
    /// `.a.b`; empty = `.`
    Dot(Vec<String>),
    /// `$name.a.b`
    Variable(String, Vec<String>),
    /// `(pipe).a.b`
    Pipe(Box<Pipe>, Vec<String>),
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Variable(String),
    Field(String),
    Dot,
    Literal(Value),
    Symbol(&'static str),
}

type Result<T> = std::result::Result<T, String>;

/// Parses a whole template.
pub(super) fn parse(text: &str) -> Result<Vec<Node>> {
    let mut pieces = Pieces { pieces: split(text)?, at: 0, depth: 0 };
    let (nodes, end) = pieces.list()?;
    match end {
        None => Ok(nodes),
        Some(word) => Err(format!("unexpected {{{{{word}}}}}")),
    }
}

enum Piece {
    Text(String),
    Action(Vec<Token>),
}

/// Text and actions in turn, trimmed where they say so.
fn split(text: &str) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut trim = false;
    while let Some(open) = rest.find("{{") {
        let (before, inside) = (&rest[..open], &rest[open + 2..]);
        let trims_before =
            inside.starts_with('-') && inside[1..].starts_with([' ', '\t', '\n', '\r']);
        let mut plain = if trim { before.trim_start() } else { before };
        if trims_before {
            plain = plain.trim_end();
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain.to_owned()));
        }
        let inside = if trims_before { &inside[1..] } else { inside };
        let close = end_of_action(inside).ok_or("unclosed action")?;
        let mut action = &inside[..close];
        rest = &inside[close + 2..];
        trim =
            action.ends_with('-') && action[..action.len() - 1].ends_with([' ', '\t', '\n', '\r']);
        if trim {
            action = &action[..action.len() - 1];
        }
        let action = action.trim();
        if !action.starts_with("/*") {
            pieces.push(Piece::Action(tokens(action)?));
        }
    }
    let plain = if trim { rest.trim_start() } else { rest };
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain.to_owned()));
    }
    Ok(pieces)
}

/// Where `}}` stands outside of strings.
fn end_of_action(text: &str) -> Option<usize> {
    if text.trim_start().starts_with("/*") {
        let end = text.find("*/")?;
        return text[end..].find("}}").map(|at| end + at);
    }
    let bytes = text.as_bytes();
    let mut quote = None;
    let mut at = 0;
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (None, b'}') if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            (None, q @ (b'"' | b'`' | b'\'')) => quote = Some(q),
            (Some(b'"' | b'\''), b'\\') => at += 1,
            (Some(q), byte) if q == byte => quote = None,
            _ => {}
        }
        at += 1;
    }
    None
}

fn tokens(text: &str) -> Result<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        let spaced = rest.trim_start();
        let apart = spaced.len() < rest.len() || tokens.is_empty();
        rest = spaced;
        let Some(first) = rest.chars().next() else { return Ok(tokens) };
        let symbols = [":=", "(", ")", "|", ",", "="];
        let (token, length) = match first {
            '"' => {
                let (text, length) = quoted(rest)?;
                (Token::Literal(Value::Text(text)), length)
            }
            '`' => {
                let end = rest[1..].find('`').ok_or("unterminated raw quoted string")?;
                (Token::Literal(Value::Text(rest[1..=end].to_owned())), end + 2)
            }
            '$' => {
                let length = 1 + word(&rest[1..]);
                (Token::Variable(rest[1..length].to_owned()), length)
            }
            '.' if rest[1..].starts_with(|c: char| c.is_alphabetic() || c == '_') => {
                let length = 1 + word(&rest[1..]);
                let name = rest[1..length].to_owned();
                // ` .x` is a field of dot, `$x.y` one of what stands before.
                if apart
                    || matches!(tokens.last(), Some(Token::Symbol("(" | "|" | ":=" | "=" | ",")))
                {
                    tokens.push(Token::Dot);
                }
                (Token::Field(name), length)
            }
            '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => (Token::Dot, 1),
            c if c.is_ascii_digit() || matches!(c, '-' | '+' | '.') => number(rest)?,
            c if c.is_alphabetic() || c == '_' => {
                let length = word(rest);
                let token = match &rest[..length] {
                    "true" => Token::Literal(Value::Bool(true)),
                    "false" => Token::Literal(Value::Bool(false)),
                    "nil" => Token::Literal(Value::Nil),
                    name => Token::Word(name.to_owned()),
                };
                (token, length)
            }
            _ => match symbols.into_iter().find(|symbol| rest.starts_with(symbol)) {
                Some(symbol) => (Token::Symbol(symbol), symbol.len()),
                None => return Err(format!("unexpected {first:?} in command")),
            },
        };
        tokens.push(token);
        rest = &rest[length..];
    }
}

fn word(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())
}

fn number(text: &str) -> Result<(Token, usize)> {
    let end = |c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '_' | '+' | '-');
    let length = text.find(end).unwrap_or(text.len());
    let digits = text[..length].replace('_', "");
    let value = match (digits.parse::<i64>(), digits.parse::<f64>()) {
        (Ok(whole), _) => Value::Int(whole),
        (_, Ok(float)) => Value::Float(float),
        _ => return Err(format!("bad number syntax: {:?}", &text[..length])),
    };
    Ok((Token::Literal(value), length))
}

/// A string in double quotes, and its length in the text.
fn quoted(text: &str) -> Result<(String, usize)> {
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((out, at + 1)),
            '\\' => match chars.next().map(|(_, c)| c) {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some(c @ ('"' | '\\' | '\'')) => out.push(c),
                _ => return Err("unknown escape in a string".to_owned()),
            },
            c => out.push(c),
        }
    }
    Err("unterminated quoted string".to_owned())
}

struct Pieces {
    pieces: Vec<Piece>,
    at: usize,
    depth: usize,
}

impl Pieces {
    /// Nodes up to the end, or up to `else` or `end`, which is told.
    fn list(&mut self) -> Result<(Vec<Node>, Option<String>)> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("blocks nested deeper than {DEPTH_MAX}"));
        }
        let mut nodes = Vec::new();
        while self.at < self.pieces.len() {
            self.at += 1;
            let action = match &self.pieces[self.at - 1] {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text.clone()));
                    continue;
                }
                Piece::Action(tokens) => tokens.clone(),
            };
            match action.first() {
                Some(Token::Word(word)) => match word.as_str() {
                    "end" | "else" => {
                        self.depth -= 1;
                        if word == "else" {
                            // `else if` is looked at again by who wanted it.
                            self.at -= 1;
                        }
                        return Ok((nodes, Some(word.clone())));
                    }
                    "if" => nodes.push(self.branches(&action[1..])?),
                    "with" => {
                        let pipe = pipe(&action[1..])?;
                        let (body, otherwise) = self.body("with")?;
                        nodes.push(Node::With(pipe, body, otherwise));
                    }
                    "range" => {
                        let (names, over) = range_head(&action[1..])?;
                        let (body, otherwise) = self.body("range")?;
                        nodes.push(Node::Range { names, over, body, otherwise });
                    }
                    "define" | "template" | "block" | "break" | "continue" => {
                        return Err(format!("{{{{{word}}}}} is not supported"));
                    }
                    _ => nodes.push(Node::Print(pipe(&action)?)),
                },
                Some(_) => nodes.push(Node::Print(pipe(&action)?)),
                None => return Err("missing value for command".to_owned()),
            }
        }
        self.depth -= 1;
        Ok((nodes, None))
    }

    fn branches(&mut self, condition: &[Token]) -> Result<Node> {
        let mut branches = Vec::new();
        let mut condition = pipe(condition)?;
        loop {
            let (body, end) = self.list()?;
            branches.push((condition, body));
            match end.as_deref() {
                Some("end") => return Ok(Node::If(branches, Vec::new())),
                Some(_) => {}
                None => return Err("unexpected EOF in {{if}}".to_owned()),
            }
            let Some(Piece::Action(tokens)) = self.pieces.get(self.at) else {
                return Err("unexpected EOF in {{if}}".to_owned());
            };
            let tokens = tokens.clone();
            self.at += 1;
            match tokens.get(1) {
                None => {
                    let (otherwise, end) = self.list()?;
                    return match end.as_deref() {
                        Some("end") => Ok(Node::If(branches, otherwise)),
                        _ => Err("expected end after {{else}}".to_owned()),
                    };
                }
                Some(Token::Word(word)) if word == "if" => condition = pipe(&tokens[2..])?,
                Some(_) => return Err("unexpected words after else".to_owned()),
            }
        }
    }

    fn body(&mut self, what: &str) -> Result<(Vec<Node>, Vec<Node>)> {
        let (body, end) = self.list()?;
        match end.as_deref() {
            Some("end") => return Ok((body, Vec::new())),
            Some(_) => self.at += 1,
            None => return Err(format!("unexpected EOF in {{{{{what}}}}}")),
        }
        let (otherwise, end) = self.list()?;
        match end.as_deref() {
            Some("end") => Ok((body, otherwise)),
            _ => Err("expected end after {{else}}".to_owned()),
        }
    }
}

fn range_head(tokens: &[Token]) -> Result<(Vec<String>, Pipe)> {
    let Some(at) = tokens.iter().position(|token| *token == Token::Symbol(":=")) else {
        return Ok((Vec::new(), pipe(tokens)?));
    };
    let mut names = Vec::new();
    for (number, token) in tokens[..at].iter().enumerate() {
        match token {
            Token::Variable(name) if number % 2 == 0 => names.push(name.clone()),
            Token::Symbol(",") if number == 1 => {}
            _ => return Err("range takes one or two variables".to_owned()),
        }
    }
    Ok((names, pipe(&tokens[at + 1..])?))
}

fn pipe(tokens: &[Token]) -> Result<Pipe> {
    let mut parser = Parser { tokens, at: 0, depth: 0 };
    let pipe = parser.pipe()?;
    match parser.at == tokens.len() {
        true => Ok(pipe),
        false => Err("unexpected right paren".to_owned()),
    }
}

struct Parser<'t> {
    tokens: &'t [Token],
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn pipe(&mut self) -> Result<Pipe> {
        let assign = match &self.tokens[self.at..] {
            [Token::Variable(name), Token::Symbol(sign @ (":=" | "=")), ..] => {
                self.at += 2;
                Some((name.clone(), *sign == ":="))
            }
            _ => None,
        };
        let mut commands = vec![self.command()?];
        while self.tokens.get(self.at) == Some(&Token::Symbol("|")) {
            self.at += 1;
            commands.push(self.command()?);
        }
        Ok(Pipe { assign, commands })
    }

    fn command(&mut self) -> Result<Command> {
        let mut operands = Vec::new();
        while let Some(operand) = self.operand()? {
            operands.push(operand);
        }
        match operands.is_empty() {
            true => Err("missing value for command".to_owned()),
            false => Ok(operands),
        }
    }

    fn operand(&mut self) -> Result<Option<Operand>> {
        let Some(token) = self.tokens.get(self.at) else { return Ok(None) };
        self.at += 1;
        Ok(Some(match token {
            Token::Literal(value) => Operand::Literal(value.clone()),
            Token::Word(name) => {
                if !super::functions::exists(name) {
                    return Err(format!("function {name:?} not defined"));
                }
                Operand::Name(name.clone())
            }
            Token::Dot => Operand::Dot(self.fields()),
            Token::Variable(name) => Operand::Variable(name.clone(), self.fields()),
            Token::Field(name) => return Err(format!("unexpected field .{name}")),
            Token::Symbol("(") => {
                self.depth += 1;
                if self.depth > DEPTH_MAX {
                    return Err(format!("parentheses nested deeper than {DEPTH_MAX}"));
                }
                let inner = self.pipe()?;
                if self.tokens.get(self.at) != Some(&Token::Symbol(")")) {
                    return Err("unclosed left paren".to_owned());
                }
                self.at += 1;
                self.depth -= 1;
                Operand::Pipe(Box::new(inner), self.fields())
            }
            Token::Symbol(_) => {
                self.at -= 1;
                return Ok(None);
            }
        }))
    }

    fn fields(&mut self) -> Vec<String> {
        let mut fields = Vec::new();
        while let Some(Token::Field(name)) = self.tokens.get(self.at) {
            fields.push(name.clone());
            self.at += 1;
        }
        fields
    }
}
