//! What may be called where nothing may block: shown by the real-time sanitizer.
//!
//! In a function marked `nonblocking` the sanitizer ends the process at the first allocation, lock or
//! system call. Wakes, cancels and aborts by handle make none, on the loop's thread and off it, while the
//! loop is awake. `try_spawn` makes one allocation, its cell, and nothing else: here that comes from memory
//! set aside. There are two exceptions. The bell: whoever ends the sleep of a loop's thread takes the bell's lock
//! and makes the one system call that wakes a thread. And a cancel on the loop's own thread that is more than
//! were pending at once there before: the list of those grows.
//!
//! Built and run by the stage `realtime` of `.ci/run`.

#![cfg(test)]
#![cfg_attr(sanitized, feature(sanitize))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::pending;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::task::{Poll, Waker};
use std::time::Duration;
use std::{env, future, ptr, thread};

use sideloop::{CancelRequest, Canceller, Executor, Handle, JoinHandle, LoopThread};

/// Set in a child process, to the name of what it is to do.
const CHILD: &str = "SIDELOOP_REALTIME_CHILD";

// ───────────── memory set aside ─────────────

const ROOM: usize = 1 << 20;

/// The system's allocator, but for a thread that has memory set aside.
struct Aside;

static mut SET_ASIDE: [u8; ROOM] = [0; ROOM];
static USED: AtomicUsize = AtomicUsize::new(0);
static TAKEN: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static IS_ASIDE: Cell<bool> = const { Cell::new(false) };
}

#[global_allocator]
static ALLOCATOR: Aside = Aside;

// SAFETY: blocks are the system's, or disjoint parts of one static, which are never given back.
unsafe impl GlobalAlloc for Aside {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !IS_ASIDE.get() {
            // SAFETY: the caller's promise.
            return unsafe { System.alloc(layout) };
        }
        TAKEN.fetch_add(1, Ordering::Relaxed);
        let at = USED.fetch_add(layout.size() + layout.align(), Ordering::Relaxed);
        if at + layout.size() + layout.align() > ROOM {
            return ptr::null_mut();
        }
        let begin = (&raw mut SET_ASIDE).cast::<u8>().wrapping_add(at);
        begin.wrapping_add(begin.align_offset(layout.align()))
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let begin = (&raw mut SET_ASIDE).cast::<u8>();
        if (begin..begin.wrapping_add(ROOM)).contains(&block) {
            return;
        }
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

// ───────────── what must not block ─────────────

#[cfg_attr(sanitized, sanitize(realtime = "nonblocking"))]
fn wake(waker: &Waker) {
    waker.wake_by_ref();
}

#[cfg_attr(sanitized, sanitize(realtime = "nonblocking"))]
fn wake_and_drop(waker: Waker) {
    waker.wake();
}

#[cfg_attr(sanitized, sanitize(realtime = "nonblocking"))]
fn clone(waker: &Waker) -> Waker {
    waker.clone()
}

#[cfg_attr(sanitized, sanitize(realtime = "nonblocking"))]
fn cancel(task: &JoinHandle<()>) -> CancelRequest {
    task.cancel()
}

#[cfg_attr(sanitized, sanitize(realtime = "nonblocking"))]
fn abort(task: &Canceller) -> CancelRequest {
    task.abort()
}

#[cfg_attr(sanitized, sanitize(realtime = "nonblocking"))]
fn try_spawn(handle: &Handle) -> Option<JoinHandle<u32>> {
    handle.try_spawn(async { 7 }).ok()
}

#[cfg_attr(sanitized, sanitize(realtime = "nonblocking"))]
fn allocate() -> usize {
    std::hint::black_box(Vec::<u8>::with_capacity(100)).capacity()
}

#[cfg_attr(sanitized, sanitize(realtime = "nonblocking"))]
fn lock(mutex: &Mutex<u32>) -> u32 {
    mutex.lock().map_or(0, |value| *value)
}

// ───────────── what it takes ─────────────

/// A task that leaves its waker, and the waker.
fn waiting(handle: &Handle) -> (JoinHandle<()>, mpsc::Receiver<Waker>) {
    let (send, wakers) = mpsc::channel();
    let task = handle.spawn(future::poll_fn(move |cx| {
        let _ = send.send(cx.waker().clone());
        Poll::Pending
    }));
    (task, wakers)
}

/// Keeps the loop awake, in a callback, until what this returns is dropped.
fn held(handle: &Handle) -> mpsc::Sender<()> {
    let (inside, is_inside) = mpsc::channel();
    let (release, until) = mpsc::channel::<()>();
    handle.call(move || {
        let _ = inside.send(());
        let _ = until.recv();
    });
    is_inside.recv().expect("the loop runs");
    release
}

#[test]
fn wakes_and_cancels_of_another_thread_call_nothing() {
    let side = LoopThread::start().expect("a loop starts");
    let (woken, wakers) = waiting(side.handle());
    let (stuck, _wakers) = waiting(side.handle());
    let waker = wakers.recv().expect("polled");
    let stop = woken.canceller();
    let _held = held(side.handle());
    wake(&waker);
    wake(&waker);
    wake_and_drop(clone(&waker));
    assert_eq!(cancel(&stuck), CancelRequest::Requested);
    assert_eq!(cancel(&stuck), CancelRequest::AlreadyRequested);
    assert_eq!(abort(&stop), CancelRequest::Requested);
}

#[test]
fn wakes_and_cancels_on_the_loop_call_nothing() {
    let mut executor = Executor::new();
    let handle = executor.handle().clone();
    executor.block_on(async {
        let before = [(); 4].map(|()| handle.spawn(pending::<()>()));
        before.iter().for_each(|task| _ = task.cancel()); // there is room for as many from here on
        let (woken, wakers) = waiting(&handle);
        let (stuck, _wakers) = waiting(&handle);
        sideloop::yield_now().await;
        let waker = wakers.try_recv().expect("polled");
        wake(&waker);
        wake(&waker);
        wake_and_drop(clone(&waker));
        assert_eq!(cancel(&stuck), CancelRequest::Requested);
        assert_eq!(abort(&woken.canceller()), CancelRequest::Requested);
        assert!(stuck.await.is_err() && woken.await.is_err());
        wake(&waker); // of a task that has ended
    });
}

#[test]
fn a_spawn_allocates_its_cell_and_calls_nothing_else() {
    let side = LoopThread::start().expect("a loop starts");
    let held = held(side.handle());
    let before = TAKEN.load(Ordering::Relaxed);
    IS_ASIDE.set(true);
    let spawned = try_spawn(side.handle());
    IS_ASIDE.set(false);
    assert_eq!(TAKEN.load(Ordering::Relaxed) - before, 1, "the cell");
    drop(held);
    assert_eq!(spawned.expect("it was taken").join().expect("it runs"), 7);
}

// ───────────── that it is noticed ─────────────

/// Runs one of the children below; what it said, and whether it ended well.
fn child(name: &str) -> (bool, String) {
    let mut command = Command::new(env::current_exe().expect("the test binary"));
    command.args(["--exact", "in_a_child", "--nocapture"]).env(CHILD, name);
    let output = command.output().expect("a child runs");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn in_a_child() {
    match env::var(CHILD).as_deref() {
        Ok("allocation") => assert!(allocate() >= 100),
        Ok("lock") => {
            let (mutex, (locked, is_locked)) = (Mutex::new(1), mpsc::channel());
            thread::scope(|scope| {
                scope.spawn(|| {
                    let _guard = mutex.lock();
                    let _ = locked.send(());
                    thread::sleep(Duration::from_millis(200));
                });
                is_locked.recv().expect("it is locked");
                assert_eq!(lock(&mutex), 1);
            });
        }
        Ok("bell") => {
            let side = LoopThread::start().expect("a loop starts");
            let (task, wakers) = waiting(side.handle());
            let waker = wakers.recv().expect("polled");
            while side.handle().metrics().parks == 0 {}
            thread::sleep(Duration::from_millis(200)); // it sleeps by now
            wake(&waker);
            drop(task);
        }
        _ => {}
    }
}

#[test]
#[cfg(sanitized)]
fn an_allocation_and_a_lock_are_noticed() {
    for name in ["allocation", "lock"] {
        let (passed, said) = child(name);
        assert!(!passed && said.contains("RealtimeSanitizer"), "{name}: {said}");
    }
}

/// The one exception, and that it is no other.
#[test]
#[cfg(sanitized)]
fn the_bell_is_the_exception() {
    let (passed, said) = child("bell");
    assert!(!passed && said.contains("RealtimeSanitizer"), "{said}");
    assert!(said.contains("unpark"), "{said}");
}

/// A stuck task ends with its loop.
#[test]
fn what_is_left_ends_with_the_loop() {
    let side = LoopThread::start().expect("a loop starts");
    let stuck = side.handle().spawn(pending::<()>());
    drop(side);
    assert!(stuck.join().is_err());
}
