//! An allocator that comes back: a global allocator is user code, and may ask a handle, or wake and cancel a task, in
//! the middle of whatever the loop does. So nothing in the crate allocates or frees under a lock or a borrow that
//! such a call needs (P1).

#![cfg(not(loom))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use sideloop::{
    CancelGuard, Canceller, Executor, Handle, LoopThread, Shutdown, TaskId, spawn_local, time,
    yield_now,
};

const MS: Duration = Duration::from_millis(1);
/// How long a test may take.
const LIMIT: Duration = Duration::from_secs(60);

/// The system's allocator, which asks first.
struct Asking;

#[global_allocator]
static ALLOCATOR: Asking = Asking;

static HANDLE: OnceLock<Handle> = OnceLock::new();
static QUESTIONS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    /// What the allocator uses on this thread.
    static TASK: RefCell<Option<(Waker, Canceller, TaskId)>> = const { RefCell::new(None) };
}

/// Asks whatever a handle answers at once, wakes and cancels.
fn ask() {
    let Ok(false) = INSIDE.try_with(|inside| inside.replace(true)) else { return };
    if let Some(handle) = HANDLE.get() {
        QUESTIONS.fetch_add(1, Ordering::Relaxed);
        let _ = (handle.is_current(), handle.is_closed(), handle.metrics());
        let _ = TASK.try_with(|task| {
            if let Ok(task) = task.try_borrow() {
                if let Some((waker, canceller, id)) = &*task {
                    waker.wake_by_ref();
                    drop(waker.clone());
                    canceller.cancel();
                    handle.cancel(*id).detach();
                }
            }
        });
    }
    let _ = INSIDE.try_with(|inside| inside.set(false));
}

#[allow(unsafe_code)] // an allocator cannot be written without it
// SAFETY: every call goes to the system's allocator with the same arguments.
unsafe impl GlobalAlloc for Asking {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ask();
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        ask();
        // SAFETY: the caller's promise; the place came from `System`.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ask();
        // SAFETY: as for `dealloc`.
        unsafe { System.realloc(place, layout, size) }
    }
}

/// Runs a test's body on a thread of its own; fails by name where it hangs.
fn limited(name: &str, body: impl FnOnce() + Send + 'static) {
    let (ended, end) = mpsc::channel();
    let thread = thread::spawn(move || {
        let _ended: mpsc::Sender<()> = ended;
        body();
    });
    let hangs = end.recv_timeout(LIMIT) == Err(mpsc::RecvTimeoutError::Timeout);
    assert!(!hangs, "{name} hangs");
    thread.join().expect("no panic");
}

/// The loop that the allocator asks.
fn asked() -> &'static Handle {
    HANDLE.get_or_init(|| {
        let side = LoopThread::start().expect("starts");
        let handle = side.handle().clone();
        std::mem::forget(side);
        handle
    })
}

/// A task that the allocator wakes and cancels from here on, on the loop's thread.
async fn be_asked_about() {
    let task = spawn_local(async {
        let guard = CancelGuard::new();
        guard.requested().await;
        pending::<()>().await;
    });
    yield_now().await;
    let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
    let found = (waker, task.canceller(), task.id());
    TASK.with(|slot| *slot.borrow_mut() = Some(found));
    task.detach();
}

/// Tasks and timers enough that every list, map and table grows and shrinks.
fn traffic(handle: &Handle) {
    let many: Vec<_> = (0..500).map(|n| handle.spawn(async move { n })).collect();
    assert!(many.into_iter().map(|task| task.join().expect("a value")).eq(0..500));
    let asleep: Vec<_> = (0..300).map(|_| handle.spawn(pending::<()>())).collect();
    let tasks = handle.tasks().join().expect("it lives");
    assert!(tasks.len() >= 300, "{} tasks", tasks.len());
    for (n, task) in asleep.iter().enumerate() {
        if n % 2 == 0 {
            task.abort()
        } else {
            task.cancel_within(MS)
        };
    }
    asleep.into_iter().for_each(|task| assert!(task.join().is_err()));
    let timers = handle.spawn_with(|| async {
        for _ in 0..3 {
            let sleeps: Vec<_> = (0..300)
                .map(|n| {
                    spawn_local(async move {
                        let _guard = CancelGuard::new();
                        let _ = time::timeout(MS, time::sleep(MS * n)).await;
                    })
                })
                .collect();
            for sleep in sleeps {
                sleep.await.expect("it ends");
            }
        }
    });
    timers.join().expect("it ends");
}

/// P1: the case from which the rest comes: a start panicked in a borrow of its own.
#[test]
fn loops_start_and_end_while_the_allocator_asks_another_loop() {
    limited("a start", || {
        asked();
        for _ in 0..20 {
            let side = LoopThread::start().expect("starts");
            assert_eq!(side.handle().call(|| 7).join().expect("a value"), 7);
            let executors: Vec<Executor> = (0..9).map(|_| Executor::new()).collect();
            drop(executors);
            side.shutdown(Shutdown::graceful(Duration::from_secs(20)));
        }
        assert!(QUESTIONS.load(Ordering::Relaxed) > 100, "is the allocator in use?");
    });
}

/// P1: on the loop's own thread, where each borrow that is open would be met.
#[test]
fn tasks_timers_and_guards_work_while_the_allocator_asks_their_own_loop() {
    limited("traffic", || {
        let handle = asked();
        handle.spawn_with(be_asked_about).join().expect("it ends");
        traffic(handle);
        assert_eq!(handle.call(|| 8).join().expect("a value"), 8);
    });
}

/// P1: the order of each batch is drawn into a list of its own.
#[test]
fn drawn_batches_and_virtual_time_work_while_the_allocator_asks() {
    limited("virtual time", || {
        asked();
        let mut executor = sideloop::Builder::new().virtual_time(7).build();
        let sleeps: Vec<_> = (0..500_u64)
            .map(|n| executor.spawn_local(time::sleep(Duration::from_secs(n * 7_919 % 500))))
            .collect();
        executor.advance(Duration::from_secs(1_000));
        assert!(sleeps.iter().all(sideloop::JoinHandle::is_finished));
    });
}
