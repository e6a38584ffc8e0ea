//! The timer wheel against a sorted map: whatever is armed, re-armed, cancelled and stepped through, the
//! same fires and the same is told, and every invariant of the wheel holds.
#![no_main]

#[path = "../history.rs"]
mod history;

use history::Input;
use libfuzzer_sys::fuzz_target;
use sideloop::fuzzing::WheelHistory;

fuzz_target!(|input: Input<WheelHistory>| input.run());
