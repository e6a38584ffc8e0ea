//! What the targets in `fuzz/` need of the inside: compiled under `cfg(fuzzing)` alone, and no part
//! of the API.

use crate::scheduler::{registry, wheel};
use crate::task::choices::History;
use crate::task::{injection, waker};

/// For each kind of history a type that a target can name.
macro_rules! histories {
    ($($name:ident($history:ty))*) => {$(
        /// What may be done to a part of the crate: its module says what that is.
        #[derive(Debug)]
        pub struct $name($history);

        impl $name {
            /// Draws one: `choose` gives a number below the limit that it is given.
            pub fn draw(mut choose: impl FnMut(u64) -> u64) -> Self {
                Self(History::draw(&mut choose))
            }

            /// Does it, and to an oracle too, and panics where they differ.
            pub fn run(&self) {
                self.0.run();
            }
        }
    )*};
}

histories! {
    WheelHistory(wheel::history::History)
    RegistryHistory(registry::history::History)
    InjectionHistory(injection::history::History)
    WakerHistory(waker::history::History)
}
