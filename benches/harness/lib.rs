//! What the benches share: rounds in which the peers take turns, the tables that come of them, and the
//! runtimes behind traits.
//!
//! Every bench prints its tables; where the variable [`results::VARIABLE`] names a file, it adds its
//! numbers there too, for `report`. All benches take `--quick`, for few rounds, and a part of a name,
//! for those workloads alone.

pub mod goals;
pub mod local;
pub mod remote;
pub mod results;
pub mod rounds;
pub mod timers;

use std::env;

/// What the command line asks for.
pub struct Options {
    /// Few rounds, to see that it works.
    pub quick: bool,
    /// Only workloads with this in their name.
    filter: Option<String>,
}

impl Options {
    pub fn from_command_line() -> Self {
        let arguments: Vec<String> = env::args().skip(1).collect();
        let quick = arguments.iter().any(|argument| argument == "--quick");
        Self { quick, filter: arguments.into_iter().find(|argument| !argument.starts_with('-')) }
    }

    /// Whether this workload is to be run.
    pub fn has(&self, name: &str) -> bool {
        self.filter.as_ref().is_none_or(|part| name.contains(part))
    }

    /// The first of these, or the second in a quick run.
    pub fn pick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}
