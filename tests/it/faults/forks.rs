//! A process that forks without starting another program: the child has the memory, and none of the threads.

use std::fs;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::exit;
use std::thread;
use std::time::Duration;

use fork::{Fork, fork, waitpid};
use sideloop::{Handle, LoopThread, Shutdown};

use super::address_space;
use crate::child::isolated;
use crate::support::{join_ok, limited, loop_started};

/// The system's number for the calling thread.
fn thread_number() -> String {
    let link = fs::read_link("/proc/thread-self").expect("proc is mounted");
    link.file_name().and_then(|name| name.to_str()).expect("a number").to_owned()
}

/// Waits until the loop sleeps: then it holds no lock that the child would inherit.
fn fall_asleep(handle: &Handle) {
    let number = join_ok(handle.call(thread_number));
    let sleeps = || {
        let stat = fs::read_to_string(format!("/proc/self/task/{number}/stat")).expect("it lives");
        stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('S'))
    };
    while !sleeps() {
        thread::yield_now();
    }
}

/// What a child can do with the loop that it does not have, and with one of its own.
fn live_on(side: LoopThread) {
    let lost = side.handle().call(|| 8);
    let lost =
        lost.join_timeout(Duration::from_millis(20)).expect_err("there is no loop to run it");
    lost.cancel();
    assert_eq!((lost.is_finished(), side.handle().metrics().finished > 0), (false, true));
    side.handle().shutdown(Shutdown::now());
    mem::forget(side); // its thread, which a drop would wait for, is in the parent
    let own = loop_started();
    assert_eq!(join_ok(own.handle().spawn(async { 9 })), 9);
    own.shutdown(Shutdown::now());
    assert_eq!(sideloop::block_on(async { 10 }), 10);
}

/// P1, J2: a child without the loop's thread can hand things to it and is not held up; a loop that it starts
/// works; and the parent's goes on as if nothing had been.
#[test]
fn a_forked_child_has_no_loop_and_may_start_one() {
    isolated(|| {
        if address_space() > 1 << 30 {
            return eprintln!("a sanitizer's shadow: no threads after a fork");
        }
        let side = loop_started();
        fall_asleep(side.handle());
        match fork().expect("another process") {
            Fork::Child => {
                let well = catch_unwind(AssertUnwindSafe(|| live_on(side)));
                exit(well.is_err().into());
            }
            Fork::Parent(child) => {
                assert_eq!(waitpid(child).expect("a status"), 0, "the child");
            }
        }
        limited(move || {
            assert_eq!(join_ok(side.handle().call(|| 7)), 7);
            let report = side.shutdown(Shutdown::now());
            assert!(report.aborted.is_empty() && report.panicked.is_empty(), "{report:?}");
        });
    });
}
