//! Thousands of small programs on virtual time, each against a plain model of the whole executor.
//!
//! A seed draws a program: tasks that yield, wait, sleep, join, guard themselves, refuse, panic and do
//! things to each other, from this thread and from another one; callbacks, now, later and repeated;
//! destructors, outputs, wakers, callbacks and hooks that panic; a script of what is done from outside:
//! floods, clocks that jump ahead and back, shutdown. The model predicts each poll and
//! each drop, in order, what each call answers, what each handle gives, and every counter. So whatever
//! is lost, done twice, done too late or out of order is a fault, and is told with its seed.
//!
//! `SIDELOOP_SEED=n` runs one seed alone, and prints its program; `SIDELOOP_SEEDS=n` so many of them.
//! The fuzzer runs the same programs, drawn from its own bytes: see `fuzz/README.md`.

mod calls;
mod deeds;
mod drive;
mod endings;
mod intake;
mod model;
mod outcomes;
mod program;
mod rules;
mod turns;
mod world;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::{env, fs};

use arbitrary::Unstructured;

use crate::support::{BODY, within};
use drive::Trace;
use model::Seen;
use program::{Choices, How, Program};
use world::Victim;

/// How many seeds are run, unless the environment says otherwise.
const SEEDS: u64 = 3_000;

/// What the programs are to bring about. Each comes about in one of three hundred, or more.
const INGREDIENTS: [&str; 38] = [
    "panic in a poll",
    "panic in a callback",
    "panic in a destructor",
    "panic in an output's destructor",
    "panic in a waker",
    "panic in a hook",
    "panic in the hook for wakes",
    "callback",
    "repeated callback",
    "repeated callback that ends with a drain",
    "clock ahead",
    "clock ahead over a deadline",
    "clock back",
    "flood",
    "flood from afar",
    "wake from here",
    "wake from another thread",
    "spawn from another thread",
    "refused spawn",
    "cancel",
    "abort",
    "cancel within a grace",
    "request by id",
    "guard",
    "refusal",
    "vain refusal",
    "reset of a sleep",
    "fired sleep",
    "fired grace",
    "join",
    "dropped handle",
    "handle dropped on another thread",
    "finished task",
    "cancelled task",
    "panicked task",
    "task that was never taken",
    "shutdown with a grace",
    "end of a loop with live tasks",
];

fn from_environment(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// The program that these bytes are.
fn program_of(bytes: &[u8]) -> Program {
    Choices(&mut Unstructured::new(bytes)).program()
}

/// The bytes of a seed, by SplitMix64.
fn bytes_of(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    std::iter::repeat_with(next).take(64).flat_map(u64::to_le_bytes).collect()
}

#[track_caller]
fn demand(name: &str, program: &Program, victim: Option<Victim>) -> Trace {
    match drive::run(program, victim) {
        Ok(trace) => trace,
        Err(fault) => panic!("{name}: {fault}\n{victim:?}\n{program}"),
    }
}

/// The seeds to be run, or one in so many of them.
fn seeds(one_in: u64) -> Range<u64> {
    match from_environment("SIDELOOP_SEED") {
        Some(one) => one..one + 1,
        None => 0..from_environment("SIDELOOP_SEEDS").unwrap_or(SEEDS).div_ceil(one_in),
    }
}

/// Runs a program; if that fails or hangs, it is told by its name.
fn run(name: &str, program: &Arc<Program>, victim: Option<Victim>) -> Trace {
    let (name, program) = (name.to_owned(), program.clone());
    within(&name.clone(), BODY, move || demand(&name, &program, victim))
}

/// Runs the program of one seed.
fn run_seed(seed: u64) -> (String, Arc<Program>, Trace) {
    let name = format!("SIDELOOP_SEED={seed}");
    let program = Arc::new(program_of(&bytes_of(seed)));
    if env::var_os("SIDELOOP_SEED").is_some() {
        println!("{program}");
    }
    let trace = run(&name, &program, None);
    (name, program, trace)
}

/// What came about in all of them.
fn sum(all: impl Iterator<Item = Seen>) -> Seen {
    let mut sum = Seen::new();
    for (ingredient, count) in all.flatten() {
        *sum.entry(ingredient).or_default() += count;
    }
    sum
}

/// P6, T1, M2, M8, C1, X1, H4: each program does what the model says, and whatever they are to bring
/// about does come about.
#[test]
fn every_seed_does_what_the_model_says() {
    let seeds = seeds(1);
    let most = seeds.end - seeds.start;
    let seen = sum(seeds.map(|seed| run_seed(seed).2.seen));
    println!("{seen:#?}");
    for ingredient in INGREDIENTS {
        let count = seen.get(ingredient).copied().unwrap_or(0);
        assert!(count >= most / 300, "{ingredient}: {count} in {most} programs");
    }
}

/// C1, C5: whichever of its tasks is cancelled, or in every second program aborted, after whichever poll.
#[test]
fn a_request_at_any_suspension_does_what_the_model_says() {
    let seeds = seeds(20);
    let most = seeds.end - seeds.start;
    let seen = sum(seeds.map(|seed| {
        let (name, program, trace) = run_seed(seed);
        let points = trace.polls.iter().enumerate();
        let points = points.flat_map(|(task, polls)| (1..=*polls).map(move |poll| (task, poll)));
        let how = if seed % 2 == 0 { How::Cancel } else { How::Abort };
        let victims = points.map(|(task, poll)| Victim { task, poll, how });
        sum(victims.map(|victim| run(&name, &program, Some(victim)).seen))
    }));
    let ends = seen.get("end at a chosen suspension").copied().unwrap_or(0);
    let replayed = env::var_os("SIDELOOP_SEED").is_some(); // one program says nothing of their mean
    assert!(replayed || ends >= most, "{ends} in {most} programs");
}

/// P6, T1: what the fuzzer keeps, and what it found, does what the model says.
#[test]
fn what_the_fuzzer_found_does_what_the_model_says() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut replayed = 0;
    for folder in ["regressions/scheduler", "corpus/scheduler"] {
        let Ok(files) = fs::read_dir(fuzz.join(folder)) else { continue };
        for path in files.map(|file| file.expect("a file of a folder").path()) {
            let program = program_of(&fs::read(&path).expect("an input of the fuzzer"));
            run(&path.display().to_string(), &Arc::new(program), None);
            replayed += 1;
        }
    }
    // The folder is not part of the published package.
    assert!(replayed > 0 || !fuzz.exists(), "there is nothing to replay");
}
