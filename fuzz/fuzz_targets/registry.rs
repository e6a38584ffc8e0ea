//! A loop's registry of tasks against a sorted map: whatever is inserted, looked up and let go, on this
//! thread or as another one does it, each task is found by its ids for as long as it is there.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use sideloop::fuzzing::RegistryHistory;

#[derive(Debug)]
struct Input(RegistryHistory);

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let choose = |limit| bytes.int_in_range(0..=limit - 1).unwrap_or(0);
        Ok(Self(RegistryHistory::draw(choose)))
    }
}

fuzz_target!(|input: Input| input.0.run());
