//! Capacity is back-pressure: a place comes back when its submission begins, and goes to one who waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sideloop::{Builder, Handle, JoinError, JoinHandle, SpawnError};

use super::bounded;
use crate::support::{join_err, join_ok, limited};

/// As many tasks as may come in at once, handed in on another thread.
fn submit(handle: &Handle) -> Vec<JoinHandle<()>> {
    let handle = handle.clone();
    let submitting = thread::spawn(move || {
        std::iter::from_fn(|| match handle.try_spawn(std::future::pending()) {
            Ok(task) => Some(task),
            Err(SpawnError::Full(_)) => None,
            Err(other) => panic!("{other}"),
        })
        .collect()
    });
    submitting.join().expect("it does not panic")
}

/// P8: two threads that hand in more than the loop can do are held back: what has not begun stays within
/// the capacity, however long it goes on.
#[test]
fn what_has_not_begun_stays_within_the_capacity() {
    limited(|| {
        let side = bounded(100);
        let stop = Arc::new(AtomicBool::new(false));
        let floods = [(); 2].map(|()| {
            let (handle, stop) = (side.handle().clone(), stop.clone());
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let work = || {
                        let begun = Instant::now();
                        while begun.elapsed() < Duration::from_micros(2) {}
                    };
                    handle.call(work).detach();
                }
            })
        });
        for _ in 0..200 {
            let live = join_ok(side.handle().tasks()).len();
            assert!(live <= 101, "{live} live, of which one may have begun");
        }
        stop.store(true, Ordering::Relaxed);
        for flood in floods {
            flood.join().expect("it does not panic");
        }
    });
}

/// P8: being taken in makes no room, being polled for the first time does, once.
#[test]
fn room_comes_back_when_a_submission_first_runs() {
    limited(|| {
        let mut executor = Builder::new().capacity(4).batch(3).build();
        let first = submit(executor.handle());
        assert_eq!((first.len(), executor.handle().metrics().queued), (4, 4));
        assert_eq!(executor.turn().polls, 3, "all are taken in, and three run");
        assert_eq!(executor.handle().metrics().queued, 1);
        assert_eq!(submit(executor.handle()).len(), 3);
        executor.run_until_idle();
        executor.run_until_idle();
        assert_eq!(submit(executor.handle()).len(), 4, "none gives more than its own place back");
    });
}

/// P8: room comes back as well from what ends without having run: cancelled by handle or id, or with its loop.
#[test]
fn room_comes_back_from_what_never_runs() {
    limited(|| {
        let mut executor = Builder::new().capacity(4).batch(1).build();
        let handle = executor.handle().clone();
        for round in 0..4 {
            let tasks = submit(&handle);
            assert_eq!(tasks.len(), 4, "round {round}");
            executor.turn();
            for task in &tasks {
                match round % 3 {
                    0 => drop(task.cancel()),
                    1 => drop(task.abort()),
                    _ => handle.cancel(task.id()).detach(),
                }
            }
            executor.run_until_idle();
            assert_eq!(handle.metrics().queued, 0);
            for task in tasks {
                assert!(matches!(join_err(task), JoinError::Cancelled));
            }
        }
        let left = submit(&handle);
        drop(executor);
        assert_eq!(handle.metrics().queued, 0);
        assert!(left.iter().all(JoinHandle::is_finished));
    });
}

/// P8: jobs, timed calls and names of tasks make no difference: their place comes back at their first poll.
#[test]
fn jobs_and_timed_calls_give_their_room_back() {
    limited(|| {
        let side = bounded(2);
        let (_keep, stuck) = std::sync::mpsc::channel::<()>();
        for n in 0..50 {
            side.handle().call_after(Duration::from_secs(3600 + n), || ()).detach();
            side.handle().call_every(Duration::from_secs(3600), || ()).expect("not zero").detach();
            side.handle().task().name("named").spawn(std::future::pending::<()>()).detach();
        }
        let jobs: Vec<_> = (0..50).map(|n| side.handle().spawn_blocking(move || n)).collect();
        assert_eq!(jobs.into_iter().map(join_ok).sum::<u64>(), 49 * 50 / 2);
        side.handle().spawn_blocking(move || stuck.recv().is_err()).detach();
        assert_eq!(join_ok(side.handle().call(|| 1)), 1);
    });
}

/// P8: with a watchdog and a capacity, or either, each poll is watched, and each place comes back.
#[test]
fn a_watchdog_and_a_gate_go_together() {
    limited(|| {
        let told = Arc::new(AtomicUsize::new(0));
        let there = told.clone();
        let stalled = move |_: &sideloop::Stall| _ = there.fetch_add(1, Ordering::SeqCst);
        let side = Builder::new()
            .capacity(1)
            .watchdog(Duration::from_millis(1), stalled)
            .start()
            .expect("starts");
        for _ in 0..100 {
            assert_eq!(join_ok(side.handle().call(|| 1)), 1);
        }
        let seen = told.clone();
        join_ok(side.handle().call(move || {
            let before = seen.load(Ordering::SeqCst);
            while seen.load(Ordering::SeqCst) == before {
                thread::yield_now();
            }
        }));
        assert!(told.load(Ordering::SeqCst) > 0);
    });
}

/// P8: 128 threads at a capacity of 4: whoever waits is woken once for each wait, not for each place.
#[cfg(target_os = "linux")]
#[test]
fn a_place_wakes_one_thread() {
    const THREADS: usize = 128;
    const CALLS: usize = 100;
    /// How often this thread has slept.
    fn sleeps() -> usize {
        let status = std::fs::read_to_string("/proc/thread-self/status").expect("proc is mounted");
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.expect("a line of switches").trim().parse().expect("a number")
    }
    limited(|| {
        let side = bounded(4);
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let handle = side.handle().clone();
                thread::spawn(move || {
                    let before = sleeps();
                    (0..CALLS).for_each(|_| handle.call(|| ()).detach());
                    sleeps() - before
                })
            })
            .collect();
        let slept: usize = threads.into_iter().map(|one| one.join().expect("ends")).sum();
        assert!(slept <= 2 * THREADS * CALLS, "{slept} sleeps for {} calls", THREADS * CALLS);
    });
}
