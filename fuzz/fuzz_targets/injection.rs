//! The way into a loop against a list: what is pushed, woken, asked to end, taken out in parts and refused
//! comes in once and in its order, rings where the loop sleeps, and is dropped once.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use sideloop::fuzzing::InjectionHistory;

#[derive(Debug)]
struct Input(InjectionHistory);

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let choose = |limit| bytes.int_in_range(0..=limit - 1).unwrap_or(0);
        Ok(Self(InjectionHistory::draw(choose)))
    }
}

fuzz_target!(|input: Input| input.0.run());
