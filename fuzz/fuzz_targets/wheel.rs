//! The timer wheel against a sorted map: whatever is armed, re-armed, cancelled and stepped through, the
//! same fires and the same is told, and every invariant of the wheel holds.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use sideloop::fuzzing::WheelHistory;

#[derive(Debug)]
struct Input(WheelHistory);

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let choose = |limit| bytes.int_in_range(0..=limit - 1).unwrap_or(0);
        Ok(Self(WheelHistory::draw(choose)))
    }
}

fuzz_target!(|input: Input| input.0.run());
