//! C8: what a cancelled blocking job held goes back, also behind a worker that is stuck.

#![cfg(all(not(any(loom, shuttle)), feature = "std"))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering};
use std::sync::mpsc;

use sideloop::{JoinHandle, LoopThread};

/// The system's allocator, which counts what is live.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static LIVE: AtomicIsize = AtomicIsize::new(0);

#[allow(unsafe_code)] // an allocator cannot be written without it
// SAFETY: every call goes to the system's allocator with the same arguments; the counter allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller's promise; the place came from `System`.
        unsafe { System.dealloc(place, layout) }
    }
}

/// A job that holds a kilobyte.
fn job(side: &LoopThread) -> JoinHandle<usize> {
    let big = [0u8; 1024];
    side.handle().spawn_blocking(move || big.len())
}

/// A loop whose only worker is stuck, and the end of that.
fn stuck() -> (LoopThread, mpsc::Sender<()>) {
    let side = LoopThread::builder().blocking_threads(1).start().expect("starts");
    let (go, until) = mpsc::channel::<()>();
    let (begun, is_running) = mpsc::channel();
    side.handle().spawn_blocking(move || (begun.send(()), until.recv().is_err())).detach();
    is_running.recv().expect("it runs");
    (side, go)
}

/// Far less than the jobs of a round hold; what the loop keeps of its tables after a burst is less.
const MOST: isize = 4 * 1024 * 1024;

/// One test: others beside it would be counted too.
#[test]
fn cancelled_jobs_keep_no_memory() {
    let (side, go) = stuck();
    assert!(job(&side).cancel() != sideloop::CancelRequest::NotFound);
    let before = LIVE.load(Ordering::Relaxed);
    // One by one, as they come.
    for _ in 0..20_000 {
        let job = job(&side);
        job.cancel();
        assert!(job.join().is_err());
    }
    let kept = LIVE.load(Ordering::Relaxed) - before;
    assert!(kept < MOST, "{kept} bytes are kept by cancelled jobs");
    // A burst, of which one in the middle stays.
    let mut burst: Vec<_> = (0..20_000).map(|_| job(&side)).collect();
    let stays = burst.swap_remove(10_000);
    burst.iter().for_each(|job| _ = job.abort());
    burst.into_iter().for_each(|job| assert!(job.join().is_err()));
    side.handle().call(|| ()).join().expect("the turn is over");
    let kept = LIVE.load(Ordering::Relaxed) - before;
    assert!(kept < MOST, "{kept} bytes are kept by a burst of aborted jobs");
    drop(go);
    assert_eq!(stays.join().expect("it runs"), 1024);
    // Those that ran, and those whose loop has ended.
    for _ in 0..2_000 {
        assert_eq!(job(&side).join().expect("it runs"), 1024);
    }
    drop(side);
    let (side, go) = stuck();
    let left: Vec<_> = (0..2_000).map(|_| job(&side)).collect();
    drop(side);
    drop((left, go));
    let kept = LIVE.load(Ordering::Relaxed) - before;
    assert!(kept < MOST, "{kept} bytes are kept after the end");
}
