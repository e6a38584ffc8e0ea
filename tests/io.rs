//! The rules of I/O on the loop's own thread: N1 to N7.
//!
//! As in `tests/it`, each test cites the rule that it checks, and fails by name instead of hanging.

#![cfg(all(unix, not(loom)))]

#[path = "it"]
mod shared {
    pub(crate) mod child;
    #[allow(unused_imports)] // each binary takes what it needs
    pub(crate) mod support;
}
use shared::{child, support};

/// A pipe of the system, both ends as files: the standard library's is younger than the oldest compiler.
fn pipe() -> std::io::Result<(std::fs::File, std::fs::File)> {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    Ok((reader.into(), writer.into()))
}

#[path = "io/drivers.rs"]
mod drivers;
#[path = "io/echo.rs"]
mod echo;
#[path = "io/fairness.rs"]
mod fairness;
#[path = "io/hosts.rs"]
mod hosts;
#[path = "io/limits.rs"]
mod limits;
#[path = "io/moving.rs"]
mod moving;
#[path = "io/sleeping.rs"]
mod sleeping;
#[path = "io/waiting.rs"]
mod waiting;
