//! Bytes per idle task, and per pending timer: what is asked of the allocator, counted.

use std::alloc::{GlobalAlloc, Layout, System};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use harness::local::{AsyncExecutor, Compio, Pool, Runtime, Sideloop, Spawner, Tokio};
use harness::results::{Row, Table};
use harness::timers::{self, Limits, Peer};

use crate::SIZES;
use crate::timers::{FAR, arm, scattered};

/// How many tasks live when the bytes are counted, the two included that count them: one idle one, and as
/// many as the other tables have; and a power of two, when tables that double are full, and two more, when
/// they are half empty.
const TASKS: [usize; 6] = [3, 1_000, 100_000, 1 << 17, (1 << 17) + 2, 1_000_000];

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

/// Bytes per timer while so many are armed, each in a block of its own, which is counted too.
fn per_timer<P: Peer>(timers: usize) -> f64 {
    let live = P::new().run(async move {
        let mut all = Vec::with_capacity(timers);
        let times = scattered(timers, Instant::now() + FAR[0], FAR[1] - FAR[0]);
        ON.store(true, Ordering::Relaxed);
        LIVE.store(0, Ordering::Relaxed);
        arm::<P>(&mut all, times, Waker::noop());
        ON.store(false, Ordering::Relaxed);
        LIVE.load(Ordering::Relaxed)
    });
    live as f64 / timers as f64
}

/// Measures and prints the table.
pub(crate) fn print() {
    let mut table = Table::new("memory", "bytes");
    for tasks in TASKS {
        macro_rules! of {
            ($($runtime:ty),*) => { vec![$((<$runtime>::NAME, vec![per_task::<$runtime>(tasks - 2)])),*] };
        }
        let values = of!(Sideloop, Tokio, AsyncExecutor, Pool, Compio);
        let name = if tasks == 3 { String::from("1 task") } else { format!("{tasks} tasks") };
        table.row(&Row { name, values });
    }
    for size in SIZES {
        macro_rules! of {
            ($($peer:ty),*) => { vec![$((<$peer>::NAME, vec![per_timer::<$peer>(size)])),*] };
        }
        let name = if size == 1 { String::from("1 timer") } else { format!("{size} timers") };
        table.row(&Row { name, values: of!(timers::Sideloop, timers::Tokio) });
    }
}
