// SPDX-License-Identifier: Apache-2.0
//! What was freed goes back to the system soon.
//!
//! The allocator keeps freed memory for a second and, where little happens, much longer: after an
//! import or a large answer that is half of the process. It reads its options from the environment
//! before `main`, and code without `unsafe` reaches them in no other way, so the program begins anew,
//! once, with the option in its environment: the same process, two milliseconds later. An option that
//! is given stays as it is.

use std::hint::black_box;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

/// Milliseconds until what was freed is given back.
const OPTION: &str = "MIMALLOC_PURGE_DELAY";

/// Shorter than between two requests of a calm stream, longer than within one of a busy one, which
/// takes again what it has just let go of.
const DELAY_MS: &str = "10";

/// 0 = no huge pages: of a small process each is mostly air, and counts in full.
const HUGE: &str = "MIMALLOC_ALLOW_THP";

/// How often the allocator is given an occasion to, where nothing else happens.
const OCCASION: Duration = Duration::from_secs(1);

/// Large enough to be no block of a thread's own.
const OCCASION_BYTES: usize = 1 << 20;

/// Begins anew with the options, unless they are there; a small process also without huge pages. Goes
/// on without them where that cannot be done.
pub fn give_back_soon(is_small: bool) {
    let is_missing = |option: &str| std::env::var_os(option).is_none();
    let is_huge = is_small && is_missing(HUGE);
    if !is_missing(OPTION) && !is_huge {
        return give_occasions();
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| program.clone().into());
    let mut command = Command::new(program);
    command.arg0(name).args(arguments);
    if is_missing(OPTION) {
        command.env(OPTION, DELAY_MS);
    }
    if is_huge {
        command.env(HUGE, "0");
    }
    // Returns only when there is no beginning anew.
    let _error = command.exec();
}

/// It looks at what is due when large memory is let go of, and not by itself. None of it is touched.
fn give_occasions() {
    let occasions = || {
        loop {
            std::thread::sleep(OCCASION);
            drop(black_box(Vec::<u8>::with_capacity(OCCASION_BYTES)));
        }
    };
    // Without it memory is given back with the next requests.
    let _started = std::thread::Builder::new().name("memory".to_owned()).spawn(occasions);
}
