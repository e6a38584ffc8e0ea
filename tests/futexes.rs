//! How many system calls it takes to rouse a loop that sleeps, to fall asleep, and to block in a join.
//!
//! A thread sleeps and is roused by `futex`, which std and parking_lot ask for by `syscall` of the C library. Here
//! that is a function of this test's own, which counts.

#![cfg(all(target_os = "linux", target_arch = "x86_64", not(loom)))]
#![allow(unsafe_code)] // a system call

use std::arch::asm;
use std::cell::Cell;
use std::ffi::c_long;
use std::future::poll_fn;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{OnceLock, mpsc};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};
use std::{array, fs, hint, thread};

use sideloop::{Handle, LoopThread};

/// Whose calls are counted.
const CALLER: usize = 0;
const LOOP: usize = 1;
/// The calls of each.
static CALLS: [AtomicUsize; 2] = [AtomicUsize::new(0), AtomicUsize::new(0)];

thread_local! {
    static ROLE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// In place of the C library's, for everything that is linked into this program.
#[unsafe(no_mangle)]
extern "C" fn syscall(
    number: c_long,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> c_long {
    if let Some(role) = ROLE.get() {
        CALLS[role].fetch_add(1, Ordering::Relaxed);
    }
    let result: c_long;
    // SAFETY: what the caller would have had the C library ask for.
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") a, in("rsi") b, in("rdx") c,
            in("r10") d, in("r8") e, in("r9") f, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    if !(-4095..0).contains(&result) {
        return result;
    }
    let error = i32::try_from(-result).expect("a number of an error");
    // SAFETY: it takes nothing, and gives the place of this thread's own.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: it is there as long as the thread is.
    unsafe { *place = error };
    -1
}

/// A thread that is counted.
struct Counted {
    role: usize,
    place: PathBuf,
}

impl Counted {
    /// This thread, from here on.
    fn this(role: usize) -> Self {
        ROLE.set(Some(role));
        let place = fs::read_link("/proc/thread-self").expect("proc is mounted");
        Self { role, place: PathBuf::from("/proc").join(place).join("stat") }
    }

    /// Waits until it sleeps in its call with this number.
    fn sleeps_in(&self, call: usize) {
        let begun = Instant::now();
        while CALLS[self.role].load(Ordering::Relaxed) < call || !self.sleeps() {
            let calls = CALLS[self.role].load(Ordering::Relaxed);
            assert!(begun.elapsed() < Duration::from_secs(30), "after {calls} calls, not {call}");
            hint::spin_loop();
        }
    }

    fn sleeps(&self) -> bool {
        let stat = fs::read_to_string(&self.place).expect("the thread lives");
        stat.rsplit(") ").next().expect("a state").starts_with('S')
    }
}

/// What has been called so far.
fn calls() -> [usize; 2] {
    array::from_fn(|role| CALLS[role].load(Ordering::Relaxed))
}

const TIMES: usize = 50;

/// One test: it counts what all of its process does.
#[test]
fn a_loop_is_roused_and_falls_asleep_by_one_call_each_and_so_is_a_join() {
    let (tell, told) = mpsc::channel();
    let start = move || Ok(tell.send(Counted::this(LOOP)).map_err(|_| "nobody waits")?);
    let side = LoopThread::builder().on_start(start).start().expect("starts");
    let (asleep, caller) = (told.recv().expect("it starts"), Counted::this(CALLER));
    while side.handle().metrics().parks == 0 {
        hint::spin_loop();
    }
    asleep.sleeps_in(1); // and before that it may have roused who started it
    messages_to_a_loop_that_sleeps(side.handle(), &asleep);
    messages_to_a_loop_that_is_awake(side.handle(), &asleep);
    joins_that_sleep(side.handle(), &asleep, &caller);
}

fn messages_to_a_loop_that_sleeps(handle: &Handle, asleep: &Counted) {
    let [from, first] = calls();
    for time in 1..=TIMES {
        handle.call(|| ()).detach();
        asleep.sleeps_in(first + time);
    }
    assert_eq!(calls(), [from + TIMES, first + TIMES], "one rouses, one sleeps");
}

/// It is in a call that waits, so that it sleeps as well, but not as a loop.
fn messages_to_a_loop_that_is_awake(handle: &Handle, asleep: &Counted) {
    let [from, first] = calls();
    let (go_on, until) = mpsc::channel::<()>();
    handle.call(move || until.recv().is_err()).detach();
    asleep.sleeps_in(first + 1);
    (0..TIMES).for_each(|_| handle.call(|| ()).detach());
    assert_eq!(calls(), [from + 1, first + 1], "the first one rouses");
    drop(go_on);
    asleep.sleeps_in(first + 2);
}

/// Who ends them comes from elsewhere, and is not counted.
fn joins_that_sleep(handle: &Handle, asleep: &Counted, caller: &Counted) {
    let [from, first] = calls();
    let wakers: &[OnceLock<Waker>] = Vec::leak((0..TIMES).map(|_| OnceLock::new()).collect());
    thread::scope(|scope| {
        scope.spawn(move || {
            for (time, waker) in wakers.iter().enumerate() {
                asleep.sleeps_in(first + 3 * time + 1);
                caller.sleeps_in(from + 2 * time + 2);
                waker.get().expect("it was polled").wake_by_ref();
            }
        });
        for (time, waker) in wakers.iter().enumerate() {
            let woken = poll_fn(|cx| match waker.set(cx.waker().clone()) {
                Ok(()) => Poll::Pending,
                Err(_) => Poll::Ready(()), // the second poll
            });
            assert!(handle.spawn(woken).join().is_ok());
            asleep.sleeps_in(first + 3 * (time + 1));
        }
        let each = "rouses, sleeps; sleeps, rouses, sleeps";
        assert_eq!(calls(), [from + 2 * TIMES, first + 3 * TIMES], "{each}");
    });
}
