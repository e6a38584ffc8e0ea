//! Whole programs on a whole executor, on virtual time, against a plain model of all of it: the programs
//! and the model are those of `tests/it/simulation.rs`.
#![no_main]

#[allow(dead_code)] // of what a program came to, the fuzzer asks for the fault alone
#[path = "../../tests/it/simulation"]
mod simulation {
    mod calls;
    mod deeds;
    pub(crate) mod drive;
    mod endings;
    mod model;
    mod outcomes;
    pub(crate) mod program;
    mod rules;
    mod turns;
    mod world;
}

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use simulation::{drive, program};

#[derive(Debug)]
struct Input(program::Program);

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(Self(program::Choices(bytes).program()))
    }
}

fuzz_target!(|input: Input| {
    if let Err(fault) = drive::run(&input.0, None) {
        panic!("{fault}\n{}", input.0);
    }
});
