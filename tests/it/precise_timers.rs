//! `Builder::precise_timers`: the timer slack of the loop's thread, and of no other.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use sideloop::{Builder, Executor, Handle};

use crate::support::*;

/// A slack in nanoseconds that no thread has unless a test gave it one.
const ODD: &str = "123456";

/// Where the calling thread's slack is to be found.
fn slack_file() -> PathBuf {
    let link = fs::read_link("/proc/thread-self").expect("/proc says which thread this is");
    Path::new("/proc").join(link.file_name().expect("a thread's number")).join("timerslack_ns")
}

/// The calling thread's slack. Fails where it cannot be read: nothing could be tested then.
fn slack() -> String {
    let path = slack_file();
    let text = fs::read_to_string(&path)
        .unwrap_or_else(|e| panic!("NOT TESTED: {} cannot be read here: {e}", path.display()));
    text.trim().to_owned()
}

/// Gives the calling thread, and those that it starts, a slack of [`ODD`] nanoseconds.
fn have_an_odd_slack() {
    let path = slack_file();
    fs::write(&path, ODD)
        .unwrap_or_else(|e| panic!("NOT TESTED: {} cannot be written here: {e}", path.display()));
    assert_eq!(slack(), ODD, "NOT TESTED: this system does not keep what it is told");
}

/// The slack of the loop's thread, read by a task.
fn slack_of(handle: &Handle) -> String {
    join_ok(handle.spawn(async { slack() }))
}

/// M1: by default, and with `true`, the loop's thread asks for wake-ups exact to the nanosecond.
#[test]
fn the_loop_thread_has_the_least_slack() {
    limited(|| {
        have_an_odd_slack();
        assert_eq!(slack_of(loop_started().handle()), "1");
        let looped = Builder::new().precise_timers(true).start().expect("starts");
        assert_eq!(slack_of(looped.handle()), "1");
        let last = Builder::new().precise_timers(false).precise_timers(true);
        assert_eq!(slack_of(last.start().expect("starts").handle()), "1");
    });
}

/// M1: with `false` the loop's thread keeps the slack that it inherits.
#[test]
fn without_precise_timers_the_slack_is_inherited() {
    limited(|| {
        have_an_odd_slack();
        let looped = Builder::new().precise_timers(false).start().expect("starts");
        assert_eq!(slack_of(looped.handle()), ODD);
    });
}

/// M1, S2: the slack is set before `on_start` runs.
#[test]
fn on_start_finds_the_slack_set() {
    limited(|| {
        have_an_odd_slack();
        let seen = Events::new();
        let sees = seen.clone();
        let on_start = move || {
            sees.push(slack());
            Ok(())
        };
        drop(Builder::new().on_start(on_start).start().expect("starts"));
        assert_eq!(seen.all(), ["1"]);
    });
}

/// M1: a loop on the caller's thread leaves that thread's slack alone, and so does a start.
#[test]
fn the_callers_own_slack_is_left_alone() {
    limited(|| {
        have_an_odd_slack();
        let mut executor = Builder::new().precise_timers(true).build();
        assert_eq!(slack(), ODD, "after build");
        assert_eq!(executor.block_on(async { slack() }), ODD, "inside block_on");
        assert_eq!(Executor::new().block_on(async { slack() }), ODD, "with the defaults");
        assert_eq!(sideloop::block_on(async { slack() }), ODD, "inside the free block_on");
        drop(executor);
        let looped = loop_started();
        assert_eq!(slack(), ODD, "after start");
        drop(looped);
        assert_eq!(slack(), ODD, "after the end");
        assert_eq!(thread::spawn(slack).join().expect("reads"), ODD, "in a thread made since");
    });
}
