//! Threads at the handles, wakers and ids of one live loop: whatever they do to it and to each other, each
//! task is accepted or refused, ends, is given out and is dropped where it must be, once, and nobody hangs.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;

#[path = "../../tests/it/regressions/handles.rs"]
mod handles;

#[derive(Debug)]
struct Input(handles::Program);

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let mut choose = |limit| bytes.int_in_range(0..=limit - 1).unwrap_or(0);
        Ok(Self(handles::Program::draw(&mut choose)))
    }
}

/// How many threads this process has.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

fuzz_target!(|input: Input| {
    let before = threads();
    input.0.run();
    // The threads for blocking jobs end after their loop; to the leak check, one on its way out has leaked
    // what it is about to free. One that stays is found by the fuzzer's own limit.
    while threads() > before {
        std::thread::yield_now();
    }
});
