//! What the targets in `fuzz/` need of the inside: compiled under `cfg(fuzzing)` alone, and no part
//! of the API.

use crate::scheduler::wheel::history::History;

/// A history of the timer wheel.
#[derive(Debug)]
pub struct WheelHistory(History);

impl WheelHistory {
    /// Draws one: `choose` gives a number below the limit that it is given.
    pub fn draw(mut choose: impl FnMut(u64) -> u64) -> Self {
        Self(History::draw(&mut choose))
    }

    /// Does it to a wheel and to its oracle, and panics where they differ.
    pub fn run(&self) {
        self.0.run();
    }
}
