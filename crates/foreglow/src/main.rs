// SPDX-License-Identifier: Apache-2.0
//! `foreglow`: one process that receives telemetry, predicts in the stream, sends it on, keeps it
//! and shows it.
//!
//! A command line becomes a configuration, a configuration a graph, and the graph runs until the
//! process is told to stop. Exit status: 0 = done, 1 = anything else, as the collector has it.

mod banner;
mod blocks;
mod cli;
mod components;
mod configuration;
mod data;
mod doctor;
mod listing;
mod load;
mod log;
mod logs;
mod memory;
mod own;
mod ports;
mod reload;
mod run;
mod services;
mod stop;
mod system;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command, LoadKind, Watched};

/// Many small allocations from many threads, which mimalloc does best.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(message) => return answer(&message),
    };
    match &cli.command {
        None => memory::give_back_soon(false),
        Some(Command::Demo(demo)) => {
            memory::give_back_soon(matches!(demo.watched, Some(Watched::Service(_))));
        }
        _ => {}
    }
    let outcome = match cli.command {
        None => run::run(&cli.options, None),
        Some(Command::Demo(demo)) => match &demo.watched {
            Some(Watched::Service(service)) => services::run(&cli.options, service),
            Some(Watched::Processes(which)) => system::run(&cli.options, *which),
            None => run::run(&cli.options, Some(demo)),
        },
        Some(Command::Validate(how)) if how.report => {
            return report(configuration::report(&cli.options, how.format));
        }
        Some(Command::Doctor(how)) => return report(doctor::run(&cli.options, &how)),
        Some(Command::Validate(_)) => configuration::validate(&cli.options),
        Some(Command::PrintConfig) => configuration::print(&cli.options),
        Some(Command::Load(LoadKind::Http(how))) => load::http::run(&how),
        Some(Command::Load(LoadKind::Otlp(what))) => load::otlp::run(&what),
        Some(Command::Load(LoadKind::Scenario { what })) => {
            system::scenarios::run(&cli.options, what)
        }
        Some(Command::Fsck) => blocks::check(&cli.options),
        Some(Command::Export(what)) => blocks::export(&cli.options, &what.file),
        Some(Command::Snapshot(to)) => blocks::snapshot(&cli.options, &to.folder),
        Some(Command::Restore(from)) => blocks::restore(&cli.options, &from.folder),
        Some(Command::Log(log)) => log::work(&cli.options, &log.what),
        Some(Command::Components) => listing::print(&components::components()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", error.to_string().trim_end());
            ExitCode::FAILURE
        }
    }
}

/// The report is the answer; whether all is well is the exit status.
fn report(shown: anyhow::Result<(String, bool)>) -> ExitCode {
    match shown {
        Ok((text, is_well)) => {
            println!("{}", text.trim_end());
            if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// `--help` and `--version` are answers, everything else is a mistake in the arguments.
fn answer(message: &clap::Error) -> ExitCode {
    // Nothing can be done about a closed terminal.
    let _ = message.print();
    if message.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
