//! What the targets in `fuzz/` need of the inside: compiled under `cfg(fuzzing)` alone, and no part
//! of the API.

use core::fmt;

use crate::testing::choices::History;
use crate::testing::{
    injection_history, registry_history, waker_history, wheel_history, wheel_oracle,
};

/// What may be done to a part of the crate: its module says what that is.
pub trait Drawn: fmt::Debug {
    /// Draws it: `choose` gives a number below the limit that it is given.
    fn draw(choose: impl FnMut(u64) -> u64) -> Self;

    /// Does it, and to an oracle too, and panics where they differ.
    fn run(&self);
}

/// For each kind of history a type that a target can name.
macro_rules! histories {
    ($($name:ident($history:ty))*) => {$(
        /// A history of the module that it is named after.
        #[derive(Debug)]
        pub struct $name($history);

        impl Drawn for $name {
            fn draw(mut choose: impl FnMut(u64) -> u64) -> Self {
                Self(History::draw(&mut choose))
            }

            fn run(&self) {
                self.0.run();
            }
        }
    )*};
}

histories! {
    WheelHistory(wheel_history::History<{ wheel_oracle::FEW }>)
    RegistryHistory(registry_history::History<{ registry_history::FEW }>)
    InjectionHistory(injection_history::History)
    WakerHistory(waker_history::History)
}
