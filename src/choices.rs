//! Histories: what may be done to a part of the crate, in any order, checked as it is done.
//!
//! A history is drawn from a source of [choices](Choose): a seeded generator in the unit tests, the
//! bytes of the fuzzer in `fuzz/`. So both look for the same faults, and one input means the same to
//! both.

use core::fmt;

#[cfg(test)]
pub(crate) mod replay;

/// A source of choices: a number below the limit, which is not 0. One that is at its end gives 0.
pub(crate) trait Choose: FnMut(u64) -> u64 {}

impl<F: FnMut(u64) -> u64> Choose for F {}

/// What is done, to the last detail: to run it twice is to do the same twice.
pub(crate) trait History: fmt::Debug {
    fn draw(choose: &mut impl Choose) -> Self;

    /// Does all of it. Panics where something is not as it should be.
    fn run(&self);
}
