//! The same checks on a target that has a standard library, which is not used: `wasm32-unknown-unknown`, where
//! an engine calls `main` without arguments. The exit code is the number of checks; a panic traps.

extern crate alloc;

mod checks;

use std::process::ExitCode;

/// A name, and a check that panics if it fails.
type Check = (&'static str, fn());

fn main() -> ExitCode {
    for (_, check) in checks::ALL {
        check();
    }
    ExitCode::from(checks::ALL.len() as u8)
}
