//! Bytes per idle task: what is asked of the allocator, counted.

use std::alloc::{GlobalAlloc, Layout, System};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};
use std::task::{Context, Poll};

use crate::runtimes::{AsyncExecutor, Pool, Runtime, Sideloop, Spawner, Tokio};

/// How many tasks live when the bytes are counted, the one that counts included.
const TASKS: usize = 1 << 17;
/// What an idle task may take, all told.
const AIM: f64 = 152.0;

/// The system's allocator, with a count of the bytes that are live.
struct Counting;

static ON: AtomicBool = AtomicBool::new(false);
static LIVE: AtomicIsize = AtomicIsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(taken: usize, given_back: usize) {
    if ON.load(Ordering::Relaxed) {
        LIVE.fetch_add(taken as isize - given_back as isize, Ordering::Relaxed);
    }
}

#[allow(unsafe_code)] // an allocator cannot be written without it
// SAFETY: every request goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.realloc(place, layout, size) }
    }
}

/// A task's state: 64 bytes, and nothing else.
struct Idle([u8; 64]);

impl Future for Idle {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.0[0] == 0 { Poll::Pending } else { Poll::Ready(()) }
    }
}

/// Bytes per task while `tasks` of them are idle, without what handles to them would take.
fn per_task<R: Runtime>(tasks: usize) -> f64 {
    let mut runtime = R::new();
    let live = runtime.run(move |spawner| async move {
        // What is taken once and kept, whatever the number of tasks, is there before the counting.
        spawner.spawn(async {}).await;
        ON.store(true, Ordering::Relaxed);
        LIVE.store(0, Ordering::Relaxed);
        for _ in 0..tasks {
            spawner.start(Idle([0; 64]));
        }
        // Behind them in every queue: when this is done, each has been polled.
        spawner.spawn(async {}).await;
        ON.store(false, Ordering::Relaxed);
        LIVE.load(Ordering::Relaxed)
    });
    live as f64 / tasks as f64
}

fn row<R: Runtime>() -> f64 {
    let (full, grown) = (per_task::<R>(TASKS - 2), per_task::<R>(TASKS));
    println!("{:<16}{full:>10.1}{grown:>16.1}", R::NAME);
    full
}

/// Measures and prints the table.
pub(crate) fn print() {
    println!();
    println!("bytes per idle task with 64 bytes of state: cell, registry, queues; no handles");
    println!("{:<16}{:>10}{:>16}", "", "2^17 tasks", "2 tasks more");
    let ours = row::<Sideloop>();
    row::<Tokio>();
    row::<AsyncExecutor>();
    row::<Pool>();
    println!("aim: {AIM} at 2^17: {}", if ours <= AIM { "met" } else { "missed" });
    println!("Tables that double are full in the first column and half empty in the second.");
    println!("What the allocator adds to each block is not counted: it is the same for all.");
}
