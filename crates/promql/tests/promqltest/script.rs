// SPDX-License-Identifier: Apache-2.0
//! promqltest scripts: commands of a `.test` file.

use promql::testing::{SeriesLine, parse_line, parse_time};

/// A command of a script.
pub enum Command {
    Clear,
    Load {
        interval: String,
        lines: Vec<String>,
        native: bool,
    },
    Eval(Box<Eval>),
    /// An eval this reader does not understand; counts as failed.
    Broken(String),
}

/// One evaluation and what it must give.
#[derive(Default)]
pub struct Eval {
    pub line: usize,
    pub query: String,
    pub start: i64,
    pub end: i64,
    /// 0 for an instant query.
    pub step: i64,
    pub expect: Expect,
}

/// What is expected of an evaluation.
#[derive(Default)]
pub struct Expect {
    pub fail: Option<Text>,
    pub warn: Vec<Text>,
    pub info: Vec<Text>,
    pub no_warn: bool,
    pub no_info: bool,
    pub ordered: bool,
    pub string: Option<String>,
    /// Start and step of a range vector's points.
    pub range_vector: Option<(i64, i64)>,
    pub scalar: Option<f64>,
    pub series: Vec<SeriesLine>,
}

/// A message, compared as named.
pub enum Text {
    Any,
    Exact(String),
    Regex(regex::Regex),
}

impl Text {
    pub fn matches(&self, got: &str) -> bool {
        match self {
            Text::Any => true,
            Text::Exact(want) => want == got,
            Text::Regex(regex) => regex.is_match(got),
        }
    }
}

/// All commands of a script. A comment line ends a block, as an empty one does.
pub fn parse(text: &str) -> Vec<Command> {
    let lines: Vec<&str> =
        text.lines().map(|l| l.trim()).map(|l| if l.starts_with('#') { "" } else { l }).collect();
    let mut out = vec![];
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        let mut end = at + 1;
        while end < lines.len() && !lines[end].is_empty() {
            end += 1;
        }
        let block = &lines[at + 1..end];
        let word = line.split_whitespace().next().unwrap_or("");
        match word {
            "" => {
                at += 1;
                continue;
            }
            "clear" => {
                out.push(Command::Clear);
                at += 1;
                continue;
            }
            "load" | "load_with_nhcb" => {
                let interval = line[word.len()..].trim().to_owned();
                let lines = block.iter().map(|l| (*l).to_owned()).collect();
                let native = word == "load_with_nhcb";
                out.push(Command::Load { interval, lines, native });
            }
            _ => out.push(match eval(line, block, at + 1) {
                Some(eval) => Command::Eval(Box::new(eval)),
                None => Command::Broken(format!("line {}: {line}", at + 1)),
            }),
        }
        at = end;
    }
    out
}

fn eval(line: &str, block: &[&str], number: usize) -> Option<Eval> {
    let (head, rest) = line.split_once(char::is_whitespace)?;
    let rest = rest.trim_start();
    let mut out = Eval { line: number, ..Eval::default() };
    match head {
        "eval" => {}
        "eval_fail" => out.expect.fail = Some(Text::Any),
        "eval_warn" => out.expect.warn.push(Text::Any),
        "eval_info" => out.expect.info.push(Text::Any),
        "eval_ordered" => out.expect.ordered = true,
        _ => return None,
    }
    if let Some(rest) = rest.strip_prefix("instant") {
        let rest = rest.trim_start().strip_prefix("at")?.trim_start();
        let (time, query) = rest.split_once(char::is_whitespace)?;
        out.start = parse_time(time)?;
        out.end = out.start;
        out.query = query.trim().to_owned();
    } else {
        let rest = rest.strip_prefix("range")?.trim_start();
        let (range, query) = range_head(rest)?;
        (out.start, out.end, out.step) = range;
        out.query = query.to_owned();
    }
    for line in block {
        expectation(line, &mut out.expect)?;
    }
    Some(out)
}

/// `from A to B step C REST`.
fn range_head(text: &str) -> Option<((i64, i64, i64), &str)> {
    let mut rest = text;
    let mut times = [0; 3];
    for (slot, word) in times.iter_mut().zip(["from", "to", "step"]) {
        rest = rest.trim_start().strip_prefix(word)?.trim_start();
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        *slot = parse_time(&rest[..end])?;
        rest = &rest[end..];
    }
    Some(((times[0], times[1], times[2]), rest.trim()))
}

fn expectation(line: &str, out: &mut Expect) -> Option<()> {
    let Some(rest) = line.strip_prefix("expect").filter(|r| r.starts_with(char::is_whitespace))
    else {
        if let Some(message) = line.strip_prefix("expected_fail_message") {
            out.fail = Some(Text::Exact(message.trim().to_owned()));
        } else if let Some(pattern) = line.strip_prefix("expected_fail_regexp") {
            out.fail = Some(Text::Regex(regex::Regex::new(pattern.trim()).ok()?));
        } else if let Ok(value) = line.parse::<f64>() {
            out.scalar = Some(value);
        } else {
            out.series.push(parse_line(line).ok()?);
        }
        return Some(());
    };
    let rest = rest.trim();
    let (kind, detail) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let detail = detail.trim();
    match kind {
        "fail" => out.fail = Some(text(detail)?),
        "warn" => out.warn.push(text(detail)?),
        "info" => out.info.push(text(detail)?),
        "no_warn" => out.no_warn = true,
        "no_info" => out.no_info = true,
        "ordered" => out.ordered = true,
        "string" => {
            let quote = detail.chars().next()?;
            out.string = Some(detail.strip_prefix(quote)?.strip_suffix(quote)?.to_owned());
        }
        "range" => {
            let rest = detail.strip_prefix("vector")?;
            let ((start, _, step), _) = range_head(rest)?;
            out.range_vector = Some((start, step));
        }
        _ => return None,
    }
    Some(())
}

fn text(detail: &str) -> Option<Text> {
    if detail.is_empty() {
        return Some(Text::Any);
    }
    let (kind, value) = detail.split_once(':')?;
    let value = value.trim();
    match kind.trim() {
        "msg" => Some(Text::Exact(value.to_owned())),
        "regex" => Some(Text::Regex(regex::Regex::new(value).ok()?)),
        _ => None,
    }
}
