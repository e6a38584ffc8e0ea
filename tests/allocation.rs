//! Memory that runs out: the process ends at once, as it does everywhere with `std`; it neither hangs nor goes on
//! with something half made.
//!
//! A child process runs one program that uses most of the crate, and its allocator refuses the k-th request. For
//! every k the child must abort with the message of the standard library, or come to its right end.

#![cfg(not(loom))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::env;
use std::future::pending;
use std::process::{Child, Command, Output, Stdio};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use sideloop::{CancelGuard, Executor, JoinError, LoopThread, Shutdown, time, yield_now};

/// Says to the child which request to refuse.
const VARIABLE: &str = "SIDELOOP_REFUSED_ALLOCATION";
/// How long a child may live.
const LIMIT: Duration = Duration::from_secs(30);
/// More requests than the program makes.
const MOST: usize = 5000;
const MS: Duration = Duration::from_millis(1);

/// The system's allocator, which refuses one request.
struct Failing;

#[global_allocator]
static ALLOCATOR: Failing = Failing;

/// How many more requests are served before one is refused; `usize::MAX`: all.
static LEFT: AtomicUsize = AtomicUsize::new(usize::MAX);
static REFUSED: AtomicBool = AtomicBool::new(false);

/// Whether this request is the one to be refused.
fn refuses() -> bool {
    if LEFT.load(Ordering::Relaxed) == usize::MAX || LEFT.fetch_sub(1, Ordering::Relaxed) != 0 {
        return false;
    }
    LEFT.store(usize::MAX, Ordering::Relaxed);
    REFUSED.store(true, Ordering::Relaxed);
    true
}

#[allow(unsafe_code)] // an allocator cannot be written without it
// SAFETY: every call goes to the system's allocator with the same arguments, or gives null, which says that there is no
// memory and touches nothing. The counters allocate nothing.
unsafe impl GlobalAlloc for Failing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if refuses() {
            return ptr::null_mut();
        }
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise; the place came from `System`.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if refuses() {
            return ptr::null_mut();
        }
        // SAFETY: as for `dealloc`.
        unsafe { System.realloc(place, layout, size) }
    }
}

// ───────────── the child ─────────────

/// Most ways to make, wake, cancel and join something, with their results checked.
fn program() {
    let side = LoopThread::builder().capacity(100).on_panic(|_| ()).start().expect("starts");
    let handle = side.handle();
    let tasks: Vec<_> = (0..40).map(|n| handle.spawn(async move { n })).collect();
    assert!(tasks.into_iter().map(|task| task.join().expect("a value")).eq(0..40));
    let nested = handle.spawn_with(|| async {
        let inner = sideloop::spawn_local(async {
            yield_now().await;
            time::timeout(MS, pending::<()>()).await
        });
        inner.await.expect("a value").is_err()
    });
    assert!(nested.join().expect("a value"));
    assert_eq!(handle.call_after(MS, || 3).join().expect("a value"), 3);
    assert_eq!(handle.spawn_blocking(|| 4).join().expect("a value"), 4);
    let ticks = handle.call_every(MS, || ()).expect("not zero");
    let guarded = handle.task().name("guarded").spawn(async {
        let guard = CancelGuard::new();
        yield_now().await;
        guard.requested().await;
        5
    });
    while handle.tasks().join().expect("it lives").iter().all(|task| task.polls < 2) {}
    guarded.cancel_within(Duration::from_secs(20));
    assert_eq!(guarded.join().expect("a value"), 5);
    let stuck = handle.spawn(pending::<()>());
    handle.cancel(stuck.id()).detach();
    assert!(matches!(stuck.join(), Err(JoinError::Cancelled)));
    assert!(matches!(handle.call(|| panic!("told")).join(), Err(JoinError::Panicked(_))));
    let mut executor = Executor::new();
    let far = executor.spawn_local(time::sleep(Duration::MAX));
    assert_eq!(executor.block_on(handle.call(|| 6)).expect("a value"), 6);
    drop((executor, far, ticks));
    let report = side.shutdown(Shutdown::graceful(Duration::from_secs(20)));
    assert_eq!(report.cancelled.len(), 1, "the ticks");
}

/// The child's end: 0 if every request was served, else 3, because it came to its end all the same.
fn child(refused: usize) -> ! {
    std::panic::set_hook(Box::new(|_| ())); // the default one writes, under locks of its own
    LEFT.store(refused, Ordering::Relaxed);
    program();
    LEFT.store(usize::MAX, Ordering::Relaxed);
    std::process::exit(if REFUSED.load(Ordering::Relaxed) { 3 } else { 0 })
}

// ───────────── the parent ─────────────

fn start(refused: usize) -> Child {
    let binary = env::current_exe().expect("the path of the test binary");
    let mut command = Command::new(binary);
    command
        .args(["--exact", NAME, "--nocapture"])
        .env(VARIABLE, refused.to_string())
        .env("RUST_BACKTRACE", "0");
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().expect("the child starts")
}

/// Waits for the end of a child, which writes less than a pipe holds.
fn end(mut child: Child, refused: usize) -> Output {
    let until = Instant::now() + LIMIT;
    while child.try_wait().expect("a status").is_none() {
        if Instant::now() > until {
            child.kill().expect("it can be killed");
            panic!("without allocation {refused} the child hangs");
        }
        thread::sleep(MS);
    }
    child.wait_with_output().expect("its output")
}

/// Whether the child's program came to its end because nothing was refused.
fn is_over(output: &Output, refused: usize) -> bool {
    let said = String::from_utf8_lossy(&output.stderr);
    let aborted = said.contains("memory allocation of ") && output.status.code().is_none();
    let finished = matches!(output.status.code(), Some(0 | 3));
    assert!(aborted || finished, "without allocation {refused}: {}\n{said}", output.status);
    output.status.code() == Some(0)
}

const NAME: &str = "each_failing_allocation_aborts_or_harms_nothing";

/// Each request of the program is refused in a child of its own.
#[test]
fn each_failing_allocation_aborts_or_harms_nothing() {
    if let Some(refused) = env::var_os(VARIABLE) {
        child(refused.to_string_lossy().parse().expect("a number"));
    }
    let (give, take) = mpsc::channel();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let give = give.clone();
                loop {
                    let refused = next.fetch_add(1, Ordering::Relaxed);
                    let over = is_over(&end(start(refused), refused), refused);
                    give.send((refused, over)).expect("somebody listens");
                    if over || refused > MOST {
                        return;
                    }
                }
            });
        }
    });
    drop(give);
    let ended: Vec<_> = take.iter().collect();
    let refused = ended.iter().filter(|(_, over)| !over).count();
    assert!(refused >= 100, "the program made {refused} requests: is the allocator in use?");
    assert!(refused < MOST, "the program never came to its end");
    println!("{refused} allocations refused");
}
