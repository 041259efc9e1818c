// SPDX-License-Identifier: Apache-2.0
//! The binary as a user meets it: arguments, configurations, start, stop, bad input, being killed.

mod arguments;
mod bad_input;
mod configurations;
mod crash;
mod doctor;
mod edges;
mod files;
mod from_context;
mod log;
mod overload;
mod own;
mod process;
mod queue;
mod readmes;
mod reload;
mod running;
mod services;
mod stacks;
