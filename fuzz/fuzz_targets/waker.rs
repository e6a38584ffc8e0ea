//! Wakers against counts: however they are cloned, woken, compared and dropped, exactly those tasks are
//! polled that were woken since their last poll, and nothing is left at the end.
#![no_main]

#[path = "../history.rs"]
mod history;

use history::Input;
use libfuzzer_sys::fuzz_target;
use sideloop::fuzzing::WakerHistory;

fuzz_target!(|input: Input<WakerHistory>| input.run());
