//! Bounded submissions: who waits for room, who is told that there is none, and what never waits.

mod pressure;
mod waiting;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use sideloop::{
    Builder, CancelRequest, Handle, JoinError, JoinHandle, LoopThread, Shutdown, SpawnError,
};

use crate::support::{Drops, Gate, Latch, hold, join_err, join_ok, limited};

fn bounded(submissions: usize) -> LoopThread {
    Builder::new().capacity(submissions).start().expect("a loop thread starts")
}

/// Calls that fill a queue whose loop is held.
fn fill(handle: &Handle, count: usize) -> Vec<JoinHandle<usize>> {
    (0..count).map(|n| handle.try_spawn(async move { n }).expect("there is room")).collect()
}

/// P8: `try_spawn` on a full queue gives the future back, intact, and it can be spawned later.
#[test]
fn try_spawn_on_a_full_queue_gives_the_future_back() {
    limited(|| {
        let side = bounded(3);
        let held = hold(side.handle());
        let filling = fill(side.handle(), 3);
        let drops = Drops::new();
        let token = drops.token();
        let refused = side.handle().try_spawn(async move {
            drop(token);
            "intact"
        });
        let Err(SpawnError::Full(future)) = refused else { panic!("there was no room") };
        assert_eq!((drops.count(), side.handle().metrics().queued >= 3), (0, true));
        held.release();
        for (n, one) in filling.into_iter().enumerate() {
            assert_eq!(join_ok(one), n);
        }
        assert_eq!(
            join_ok(side.handle().try_spawn(future).expect("there is room again")),
            "intact"
        );
    });
}

/// P8: `spawn`, `spawn_with` and `call` block the calling thread until there is room, and then run.
#[test]
fn the_others_block_until_there_is_room() {
    limited(|| {
        let side = bounded(1);
        let held = hold(side.handle());
        let filling = fill(side.handle(), 1);
        let came = Arc::new(AtomicUsize::new(0));
        let spawners: Vec<_> = (0..3)
            .map(|n| {
                let (handle, came) = (side.handle().clone(), came.clone());
                thread::spawn(move || {
                    let task = match n {
                        0 => handle.spawn(async move { n }),
                        1 => handle.spawn_with(move || async move { n }),
                        _ => handle.call(move || n),
                    };
                    came.fetch_add(1, Ordering::SeqCst);
                    join_ok(task)
                })
            })
            .collect();
        // Not a proof that they wait, but a wrong pass of the gate would show here, sooner or later.
        thread::yield_now();
        assert_eq!(came.load(Ordering::SeqCst), 0, "nobody passes while the loop is held");
        held.release();
        let values: Vec<_> = spawners.into_iter().map(|one| one.join().expect("ends")).collect();
        assert_eq!(values, [0, 1, 2]);
        assert_eq!(filling.into_iter().map(join_ok).collect::<Vec<_>>(), [0]);
    });
}

/// P8: the loop's own thread is never blocked, however much it spawns and calls.
#[test]
fn the_loops_own_thread_is_never_blocked() {
    limited(|| {
        let side = bounded(1);
        let handle = side.handle().clone();
        let spawned = side
            .handle()
            .call(move || (0..1000).map(|n| handle.spawn(async move { n })).collect::<Vec<_>>());
        let sum: usize = join_ok(spawned).into_iter().map(join_ok).sum();
        assert_eq!(sum, 999 * 1000 / 2);
    });
}

/// P8: wakes, cancels, snapshots and shutdown are not held up by a full queue.
#[test]
fn control_requests_pass_a_full_queue() {
    limited(|| {
        let side = bounded(1);
        let gate = Gate::new();
        let waits = side.handle().spawn(gate.passed());
        let stuck = side.handle().spawn(std::future::pending::<()>());
        let held = hold(side.handle());
        let _filling = fill(side.handle(), 1);
        assert_eq!(stuck.cancel(), CancelRequest::Requested);
        let by_id = side.handle().cancel(waits.id());
        let aborted = side.handle().abort(waits.id());
        let tasks = side.handle().tasks();
        gate.open();
        side.handle().shutdown(Shutdown::graceful(Duration::from_secs(5)));
        held.release();
        assert_eq!(join_ok(by_id), CancelRequest::Requested);
        assert_eq!(join_ok(aborted), CancelRequest::AlreadyRequested);
        assert!(!join_ok(tasks).is_empty());
        assert!(matches!(join_err(stuck), JoinError::Cancelled));
        side.join();
    });
}

/// P8, H5: a thread that waits for room when the loop is shut down gets a handle that says `Closed`.
#[test]
fn a_blocked_spawner_is_let_go_by_shutdown() {
    limited(|| {
        let side = bounded(1);
        let held = hold(side.handle());
        let filling = fill(side.handle(), 1);
        let drops = Drops::new();
        let spawners: Vec<_> = (0..4)
            .map(|_| {
                let (handle, token) = (side.handle().clone(), drops.token());
                thread::spawn(move || join_err(handle.spawn(async move { drop(token) })))
            })
            .collect();
        side.handle().shutdown(Shutdown::graceful(Duration::from_secs(5)).drain(Duration::MAX));
        for spawner in spawners {
            assert!(matches!(spawner.join().expect("ends"), JoinError::Closed));
        }
        assert_eq!(drops.count(), 4);
        held.release();
        assert_eq!(side.join().finished, 2);
        assert_eq!(filling.into_iter().map(join_ok).collect::<Vec<_>>(), [0]);
    });
}

/// P8: so is one whose `Executor` is dropped without having been asked to end.
#[test]
fn a_blocked_spawner_is_let_go_by_the_drop_of_an_executor() {
    limited(|| {
        let executor = Builder::new().capacity(1).build();
        let handle = executor.handle().clone();
        let blocked = thread::spawn(move || {
            let _first = handle.try_spawn(async {}).expect("there is room");
            join_err(handle.spawn(async {}))
        });
        while executor.handle().metrics().queued == 0 {
            thread::yield_now();
        }
        drop(executor);
        assert!(matches!(blocked.join().expect("ends"), JoinError::Closed));
    });
}

/// P8: room counts submissions that were not taken in, not tasks: idle tasks take none.
#[test]
fn tasks_that_were_taken_in_take_no_room() {
    limited(|| {
        let side = bounded(2);
        let idle: Vec<_> =
            (0..100).map(|_| side.handle().spawn(std::future::pending::<()>())).collect();
        assert_eq!(join_ok(side.handle().call(|| 1)), 1);
        assert_eq!(join_ok(side.handle().tasks()).len(), 100);
        drop(idle);
    });
}

/// P8: a capacity of zero is one: otherwise nothing could ever come in.
#[test]
fn a_capacity_of_zero_is_one() {
    limited(|| {
        let side = bounded(0);
        assert_eq!(join_ok(side.handle().call(|| 1)), 1);
    });
}

/// P6, P8: eight threads through a gate of four: everything that was accepted ran, once.
#[test]
fn nothing_is_lost_at_a_narrow_gate() {
    limited(|| {
        let side = bounded(4);
        let ran = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let (handle, ran) = (side.handle().clone(), ran.clone());
                thread::spawn(move || {
                    let (mut accepted, mut full) = (0, 0);
                    for n in 0..5000 {
                        let ran = ran.clone();
                        let task = async move {
                            ran.fetch_add(1, Ordering::SeqCst);
                        };
                        if n % 2 == 0 {
                            handle.spawn(task).detach();
                            accepted += 1;
                        } else {
                            match handle.try_spawn(task) {
                                Ok(task) => {
                                    task.detach();
                                    accepted += 1;
                                }
                                Err(SpawnError::Full(_)) => full += 1,
                                Err(other) => panic!("{other}"),
                            }
                        }
                    }
                    assert_eq!(accepted + full, 5000);
                    accepted
                })
            })
            .collect();
        let accepted: usize = threads.into_iter().map(|one| one.join().expect("ends")).sum();
        let report = side.shutdown(Shutdown::graceful(Duration::MAX).drain(Duration::MAX));
        assert_eq!(ran.load(Ordering::SeqCst), accepted, "{report:?}");
    });
}

/// P8, C1: a submission that is cancelled before it was taken in gives its room back.
#[test]
fn a_cancelled_submission_gives_its_room_back() {
    limited(|| {
        let side = bounded(1);
        for _ in 0..10 {
            let held = hold(side.handle());
            let latch = Latch::new("never");
            let there = latch.clone();
            let one = side.handle().try_spawn(async move { there.set() }).expect("there is room");
            one.cancel();
            held.release();
            assert!(matches!(join_err(one), JoinError::Cancelled));
            assert!(!latch.is_set());
        }
    });
}
