//! The same checks where there is a standard library, which is not used: `wasm32-unknown-unknown`, whose
//! `main` an engine calls without arguments. The exit code is how many checks there were; a panic traps.

extern crate alloc;

mod checks;

use std::process::ExitCode;

/// A name, and what panics if it is not so.
type Check = (&'static str, fn());

fn main() -> ExitCode {
    for (_, check) in checks::ALL {
        check();
    }
    ExitCode::from(checks::ALL.len() as u8)
}
