//! A history as the fuzzer's input: what the targets share that draw one.

use arbitrary::{Arbitrary, Result, Unstructured};
use sideloop::fuzzing::Drawn;

#[derive(Debug)]
pub struct Input<H>(H);

impl<H: Drawn> Input<H> {
    pub fn run(&self) {
        self.0.run();
    }
}

impl<'a, H: Drawn> Arbitrary<'a> for Input<H> {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self(H::draw(|limit| bytes.int_in_range(0..=limit - 1).unwrap_or(0))))
    }
}
