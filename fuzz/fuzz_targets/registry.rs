//! A loop's registry of tasks against a sorted map: whatever is inserted, looked up and let go, on this
//! thread or as another one does it, each task is found by its ids for as long as it is there.
#![no_main]

#[path = "../history.rs"]
mod history;

use history::Input;
use libfuzzer_sys::fuzz_target;
use sideloop::fuzzing::RegistryHistory;

fuzz_target!(|input: Input<RegistryHistory>| input.run());
