//! The way into a loop against a list: what is pushed, woken, asked to end, taken out in parts and refused
//! comes in once and in its order, rings where the loop sleeps, and is dropped once.
#![no_main]

#[path = "../history.rs"]
mod history;

use history::Input;
use libfuzzer_sys::fuzz_target;
use sideloop::fuzzing::InjectionHistory;

fuzz_target!(|input: Input<InjectionHistory>| input.run());
