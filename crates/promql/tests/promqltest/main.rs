// SPDX-License-Identifier: Apache-2.0
//! Runs promqltest's `.test` files: our own, and Prometheus' where they are present (the directory
//! in `FOREGLOW_PROMQLTEST_DIR`, else `../shared/promqltest` beside the repository).
//!
//! Every evaluation in every file counts, also one that can not be read. What was reached is a
//! floor per file; our own cases must all pass. The last line is the count:
//! `promqltest: P of T evaluations`. `FOREGLOW_PROMQLTEST_SHOW=all` (or a file's name) lists what
//! fails. A binary of its own, so that nothing is printed after that line.

mod compare;
mod pinned;
mod script;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use promql::testing::MemorySource;
use promql::{Context, Engine, QueryError, QueryValue, ValueType};

use script::{Command, Eval};

/// Files whose evaluations together must pass at 80 % or more.
const CORE: [&str; 10] = [
    "aggregators",
    "functions",
    "operators",
    "selectors",
    "literals",
    "staleness",
    "at_modifier",
    "range_queries",
    "histograms",
    "subquery",
];

#[derive(Default)]
struct Score {
    passed: usize,
    total: usize,
    failures: Vec<String>,
}

fn run_file(path: &Path) -> Score {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut score = Score::default();
    let mut source = MemorySource::default();
    for command in script::parse(&text) {
        match command {
            Command::Clear => source.clear(),
            Command::Load { interval, lines, native } => {
                if let Err(e) = source.load(&interval, &lines) {
                    score.failures.push(format!("load: {e}"));
                }
                if native {
                    source.add_native_from_classic();
                }
            }
            Command::Broken(what) => {
                score.total += 1;
                score.failures.push(format!("not understood: {what}"));
            }
            Command::Eval(eval) => {
                score.total += 1;
                match run_eval(&source, &eval) {
                    Ok(()) => score.passed += 1,
                    Err(e) => {
                        score.failures.push(format!("line {}: {}: {e}", eval.line, eval.query));
                    }
                }
            }
        }
    }
    score
}

fn run_eval(source: &MemorySource, eval: &Eval) -> Result<(), String> {
    let engine = Engine::default();
    let range = ((eval.start, eval.end), eval.step);
    let instant = (eval.step == 0).then_some(eval.start);
    let value = check(&engine, source, eval, &eval.query, instant, range)?;
    let Some(value) = value.filter(|_| eval.step == 0) else { return Ok(()) };
    if !eval.expect.ordered {
        again_as_range(&engine, source, eval, &value)?;
    }
    if let Some((query, times)) = pinned::cases(&eval.query, eval.start) {
        for time in times {
            check(&engine, source, eval, &query, Some(time), range)
                .map_err(|e| format!("as {query} at {time}: {e}"))?;
        }
    }
    Ok(())
}

/// Runs a query once and compares; gives the value unless the failure was the expected one.
fn check(
    engine: &Engine,
    source: &MemorySource,
    eval: &Eval,
    query: &str,
    instant: Option<i64>,
    (range, step): ((i64, i64), i64),
) -> Result<Option<QueryValue>, String> {
    let context = Context::default();
    let result = match instant {
        Some(time) => engine.instant(source, query, time, &context),
        None => engine.range(source, query, range, step, &context),
    };
    let result = match (result, &eval.expect.fail) {
        (Ok(_), Some(_)) => return Err("expected a failure".into()),
        (Ok(result), None) => result,
        (Err(e), None) => return Err(format!("failed: {e}")),
        (Err(e), Some(want)) => {
            let message = match &e {
                QueryError::Parse(e) => e.message.clone(),
                e => e.to_string(),
            };
            return match want.matches(&message) {
                true => Ok(None),
                false => Err(format!("failed with another message: {message}")),
            };
        }
    };
    compare::notes(&eval.expect, &result)?;
    compare::value(eval, &result.value)?;
    Ok(Some(result.value))
}

/// An instant query must give the same as the middle step of a range query.
fn again_as_range(
    engine: &Engine,
    source: &MemorySource,
    eval: &Eval,
    instant: &QueryValue,
) -> Result<(), String> {
    let expr = promql::parse(&eval.query).map_err(|e| e.to_string())?;
    if !matches!(expr.value_type(), ValueType::Scalar | ValueType::Vector)
        || pinned::asks_query(&eval.query)
    {
        return Ok(());
    }
    const MINUTE: i64 = 60_000;
    let span = (eval.start - MINUTE, eval.start + MINUTE);
    let result = engine
        .range(source, &eval.query, span, MINUTE, &Context::default())
        .map_err(|e| format!("as a range query: {e}"))?;
    let QueryValue::Matrix(mut matrix) = result.value else {
        return Err("as a range query: not a matrix".into());
    };
    for entry in &mut matrix {
        let at_time = entry.points.iter().filter(|p| p.timestamp_ms == eval.start);
        entry.points = at_time.collect::<Vec<_>>().into();
    }
    matrix.retain(|e| !e.points.is_empty());
    if let QueryValue::Scalar(want) = instant {
        return match matrix.first().and_then(|e| e.points.first()).map(|p| p.sample) {
            Some(promql::Sample::Float(got)) if compare::almost_equal(*want, got) => Ok(()),
            got => Err(format!("as a range query: {got:?}")),
        };
    }
    compare::series(&eval.expect, &matrix, eval.start, 1)
        .map_err(|e| format!("as a range query: {e}"))
}

fn upstream_dir() -> PathBuf {
    match std::env::var_os("FOREGLOW_PROMQLTEST_DIR") {
        Some(dir) => dir.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/promqltest"),
    }
}

fn run_dir(dir: &Path) -> BTreeMap<String, Score> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .map(|entries| entries.flatten().map(|e| e.path()).collect())
        .unwrap_or_default();
    files.retain(|p| p.extension().is_some_and(|e| e == "test"));
    files.sort();
    let name = |p: &PathBuf| p.file_stem().map(|s| s.to_string_lossy().into_owned());
    files.iter().map(|p| (name(p).unwrap_or_default(), run_file(p))).collect()
}

fn print(scores: &BTreeMap<String, Score>) -> (usize, usize) {
    let show = std::env::var("FOREGLOW_PROMQLTEST_SHOW").unwrap_or_default();
    let (mut passed, mut total) = (0, 0);
    for (name, score) in scores {
        println!("{name:<22} {:>5} of {:>5}", score.passed, score.total);
        if show == *name || show == "all" {
            score.failures.iter().for_each(|f| println!("    {f}"));
        }
        passed += score.passed;
        total += score.total;
    }
    (passed, total)
}

fn main() -> ExitCode {
    let own = run_dir(&Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata"));
    let (passed, total) = print(&own);
    let mut failures: Vec<String> = own.into_values().flat_map(|s| s.failures).collect();
    if total == 0 {
        failures.push("there are no cases of our own".into());
    }
    let dir = upstream_dir();
    let upstream = run_dir(&dir);
    if upstream.is_empty() {
        println!("upstream's promqltest files are absent ({}); only our own ran", dir.display());
        println!("promqltest: {passed} of {total} evaluations of our own");
        return report(&failures);
    }
    let (passed, total) = print(&upstream);
    let core = upstream.iter().filter(|(name, _)| CORE.contains(&name.as_str()));
    let (p, t) = core.fold((0, 0), |(p, t), (_, s)| (p + s.passed, t + s.total));
    if p * 100 < t * 80 {
        failures.push(format!("the core files pass {p} of {t}, fewer than 80 %"));
    }
    for line in include_str!("floor.txt").lines() {
        let Some((name, floor)) = line.split_once(' ') else { continue };
        let floor: usize = floor.trim().parse().unwrap_or(usize::MAX);
        let reached = upstream.get(name).map_or(0, |s| s.passed);
        if reached < floor {
            failures.push(format!("{name} passes {reached}, it did {floor}"));
        }
    }
    let code = report(&failures);
    println!("promqltest: {passed} of {total} evaluations");
    code
}

fn report(failures: &[String]) -> ExitCode {
    failures.iter().for_each(|f| println!("FAILED {f}"));
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
