//! Wakers against counts: however they are cloned, woken, compared and dropped, exactly those tasks are
//! polled that were woken since their last poll, and nothing is left at the end.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use sideloop::fuzzing::WakerHistory;

#[derive(Debug)]
struct Input(WakerHistory);

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let choose = |limit| bytes.int_in_range(0..=limit - 1).unwrap_or(0);
        Ok(Self(WakerHistory::draw(choose)))
    }
}

fuzz_target!(|input: Input| input.0.run());
