//! Memory goes back (M6): after a burst, and one turn more, what is left is within a constant factor of what lives.
//!
//! One test for each structure, by an allocator that counts. They run one after the other, on a thread each.

#![cfg(not(loom))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::future::pending;
use std::sync::Mutex;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::time::{Duration, Instant};

use sideloop::{CancelGuard, Executor, JoinHandle, LoopThread, Shutdown, TaskGroup, time};

/// So many bytes are in use.
static USED: AtomicIsize = AtomicIsize::new(0);

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[allow(unsafe_code)] // an allocator cannot be written without it
// SAFETY: every call goes to the system's allocator with the same arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        USED.fetch_add(isize::try_from(layout.size()).expect("a size"), Ordering::Relaxed);
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        USED.fetch_sub(isize::try_from(layout.size()).expect("a size"), Ordering::Relaxed);
        // SAFETY: the caller's promise; the place came from `System`.
        unsafe { System.dealloc(place, layout) }
    }
}

/// One test at a time: all use the same count.
static ONE: Mutex<()> = Mutex::new(());

const MANY: usize = 50_000;
const FAR: Duration = Duration::from_secs(3_600);
/// What a loop may keep: free blocks for tasks to come, up to 256 KiB, a page of each kind, and what a thread keeps.
const FEW: isize = 400 * 1024;

/// What is in use beyond what was at `before`, when `burst` is over.
fn left_by<R>(burst: impl FnOnce(&dyn Fn() -> isize) -> R) -> (R, isize) {
    let before = USED.load(Ordering::Relaxed);
    let now = move || USED.load(Ordering::Relaxed) - before;
    let result = burst(&now);
    (result, now())
}

/// Runs a burst on an executor that has been used before; what it may leave.
fn check(name: &str, burst: impl FnOnce(&mut Executor, &dyn Fn() -> isize)) {
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut executor = Executor::new();
    executor.spawn_local(async {}).detach();
    executor.run_until_idle();
    let ((), left) = left_by(|used| {
        burst(&mut executor, used);
        executor.turn();
    });
    assert!(left <= FEW, "{name}: {left} bytes are left");
}

/// A timer that is pending, kept by hand.
fn armed(executor: &mut Executor, many: usize) -> Vec<std::pin::Pin<Box<time::Sleep>>> {
    executor.block_on(async {
        let mut all = Vec::with_capacity(many);
        for n in 0..many {
            let mut sleep =
                Box::pin(time::sleep(FAR + Duration::from_micros(n as u64 * 7_919 % 50_000)));
            assert!(futures::poll!(&mut sleep).is_pending());
            all.push(sleep);
        }
        all
    })
}

/// M6: timers that are dropped, in the order of arming, and in the reverse.
#[test]
fn a_burst_of_timers_leaves_nothing() {
    for reverse in [false, true] {
        check("timers", |executor, used| {
            let mut all = armed(executor, MANY);
            assert!(used() > 48 * MANY as isize, "they take room");
            if reverse {
                all.reverse();
            }
            drop(all);
        });
    }
}

/// M6: a few that live on do not keep what the others had.
#[test]
fn a_few_timers_that_live_on_keep_a_page_each_at_most() {
    check("timers", |executor, _| {
        let mut all = armed(executor, MANY);
        let few: Vec<_> = all.drain(..).enumerate().filter(|(n, _)| n % 10_000 == 77).collect();
        drop(all);
        std::mem::forget(few);
    });
}

/// Also where the urgent queue was emptied, and then the registry's gaps were filled.
#[test]
fn a_request_takes_no_memory_whatever_has_come_and_gone() {
    check("tasks in gaps", |executor, used| {
        let spawn = |executor: &mut Executor, many: usize| -> Vec<JoinHandle<()>> {
            (0..many).map(|_| executor.spawn_local(pending::<()>())).collect()
        };
        let all = spawn(executor, MANY).into_iter();
        executor.run_until_idle();
        let (kept, gone): (Vec<_>, Vec<_>) = all.partition(|task| task.id().as_u64() % 64 == 0);
        for task in gone {
            task.abort();
        }
        executor.run_until_idle();
        executor.turn();
        let again = spawn(executor, MANY - kept.len());
        executor.run_until_idle();
        executor.block_on(async {
            let before = used();
            for task in kept.iter().chain(&again) {
                task.abort();
            }
            assert_eq!(used(), before, "a request took memory");
        });
        drop((kept, again));
        executor.run_until_idle();
    });
}

/// M6: tasks of the loop's own thread: registry, queues, cells.
#[test]
fn a_burst_of_tasks_leaves_nothing() {
    check("tasks", |executor, used| {
        let all: Vec<JoinHandle<()>> =
            (0..MANY).map(|_| executor.spawn_local(pending::<()>())).collect();
        executor.run_until_idle();
        assert!(used() > 100 * MANY as isize, "they take room");
        for task in &all {
            task.abort();
        }
        drop(all);
        executor.run_until_idle();
    });
}

/// M6: tasks that other threads have spawned: the index.
#[test]
fn a_burst_of_tasks_from_elsewhere_leaves_nothing() {
    check("tasks from elsewhere", |executor, _| {
        let handle = executor.handle().clone();
        let spawn =
            move || -> Vec<_> { (0..MANY).map(|_| handle.spawn(pending::<()>())).collect() };
        let all = std::thread::spawn(spawn).join().expect("no panic");
        executor.run_until_idle();
        for task in &all {
            task.abort();
        }
        drop(all);
        executor.run_until_idle();
    });
}

/// M6: tasks that are all cancelled from inside, in one poll: the urgent queue.
#[test]
fn a_burst_of_cancels_in_one_poll_leaves_nothing() {
    check("cancels", |executor, _| {
        executor.block_on(async {
            let all: Vec<_> = (0..MANY).map(|_| sideloop::spawn_local(pending::<()>())).collect();
            sideloop::yield_now().await;
            for task in &all {
                task.abort();
            }
            drop(all);
        });
        executor.run_until_idle();
    });
}

/// M6: what is kept for tasks with a guard.
#[test]
fn a_burst_of_guards_leaves_nothing() {
    check("guards", |executor, _| {
        let guarded = || async {
            let _guard = CancelGuard::new();
            pending::<()>().await;
        };
        let all: Vec<_> = (0..MANY).map(|_| executor.spawn_local(guarded())).collect();
        executor.run_until_idle();
        for task in &all {
            task.abort();
        }
        drop(all);
        executor.run_until_idle();
    });
}

/// M6: a group from which all members were taken, and that lives on.
#[test]
fn a_burst_of_members_leaves_nothing_in_their_group() {
    check("members", |executor, _| {
        let group = TaskGroup::new(executor.handle());
        for _ in 0..MANY {
            group.spawn_local(async {});
        }
        executor.block_on(async { while group.next().await.is_some() {} });
        std::mem::forget(group);
    });
}

/// M6: loops that were started and have ended.
#[test]
fn loops_that_have_ended_leave_nothing() {
    check("loops", |_, _| {
        for _ in 0..50 {
            let side = LoopThread::start().expect("starts");
            side.handle().call(|| ()).join().expect("a value");
            side.shutdown(Shutdown::now());
        }
        let all: Vec<Executor> = (0..500).map(|_| Executor::new()).collect();
        drop(all);
    });
}

/// F: serials that are any distance apart cost the same: ends of tasks whose serials were Fibonacci numbers apart, or a
/// multiple of what was worst, took quadratic time.
#[test]
fn tasks_whose_serials_lie_apart_end_in_time() {
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let side = LoopThread::start().expect("starts");
    let closed = Executor::new().handle().clone(); // each call that it refuses draws one serial
    for stride in [1_u64, 89, 233, 454, 610] {
        let all: Vec<_> = (0..3_000)
            .map(|_| {
                (1..stride).for_each(|_| drop(closed.call(|| ())));
                side.handle().spawn(pending::<()>())
            })
            .collect();
        let apart = all[1].id().as_u64() - all[0].id().as_u64();
        side.handle().call(|| ()).join().expect("a value");
        let begun = Instant::now();
        for task in &all {
            task.abort();
        }
        all.into_iter().for_each(|task| assert!(task.join().is_err()));
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?} for serials {apart} apart");
    }
}
