//! What still lives at the end: dropped in order on the loop thread; nobody waits for ever.

use std::future::{Future, pending};
use std::pin::pin;
use std::sync::mpsc;
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use sideloop::{Builder, JoinError, Shutdown, time};

use crate::child::{in_child, isolated};
use crate::support::{
    Drops, Events, Latch, Probe, hold, join_err, join_ok, join_soon, limited, loop_started,
    thread_of,
};

/// A future that never ends and notes `number` when it is dropped.
fn noted(order: &Events<usize>, number: usize) -> Probe {
    let order = order.clone();
    Probe::pending().0.on_drop(move || order.push(number))
}

// ───────────── order and place ─────────────

/// H4: survivors are dropped in spawn order, whichever thread spawned them and whichever slot they got.
#[test]
fn survivors_are_dropped_in_spawn_order() {
    limited(|| {
        for how in [Shutdown::now(), Shutdown::graceful(Duration::MAX)] {
            let side = loop_started();
            let order = Events::new();
            let early: Vec<_> = (0..8).map(|_| side.handle().spawn(pending::<()>())).collect();
            for number in 0..10 {
                side.handle().spawn(noted(&order, number)).detach();
            }
            for task in early.into_iter().rev() {
                task.cancel();
                join_err(task);
            }
            for number in 10..30 {
                let probe = noted(&order, number);
                match number % 2 {
                    0 => side.handle().spawn(probe).detach(),
                    _ => join_ok(side.handle().call(move || sideloop::spawn_local(probe).detach())),
                }
            }
            side.shutdown(how);
            assert_eq!(order.all(), (0..30).collect::<Vec<_>>());
        }
    });
}

/// H4: tasks that the loop never took in are dropped in their place in the order.
#[test]
fn unrun_survivors_are_dropped_in_spawn_order() {
    limited(|| {
        let side = loop_started();
        let order = Events::new();
        (0..5).for_each(|number| side.handle().spawn(noted(&order, number)).detach());
        let held = hold(side.handle());
        (5..15).for_each(|number| side.handle().spawn(noted(&order, number)).detach());
        side.handle().shutdown(Shutdown::now());
        held.release();
        side.join();
        assert_eq!(order.all(), (0..15).collect::<Vec<_>>());
    });
}

/// H4, W6: survivors are dropped on the loop thread, before `on_stop`, before `shutdown` returns.
#[test]
fn survivors_are_dropped_on_the_loop_thread_before_it_stops() {
    limited(|| {
        let drops = Drops::new();
        let (seen, at_stop) = (drops.clone(), Events::new());
        let log = at_stop.clone();
        let side = Builder::new()
            .on_stop(move || log.push((thread::current().id(), seen.count())))
            .start()
            .expect("a loop thread starts");
        let on = thread_of(side.handle());
        for _ in 0..10 {
            let (one, two, three) = (drops.token(), drops.token(), drops.token());
            side.handle().spawn(async move {
                let _token = one;
                pending::<()>().await;
            });
            side.handle().spawn_with(move || async move {
                let _token = two;
                time::sleep(Duration::MAX).await;
            });
            side.handle().call(move || {
                sideloop::spawn_local(async move {
                    let _token = three;
                    pending::<()>().await;
                });
            });
        }
        join_ok(side.handle().call(|| ()));
        side.shutdown(Shutdown::now());
        assert_eq!(drops.threads(), vec![on; 30]);
        assert_eq!(at_stop.all(), [(on, 30)]);
    });
}

/// H4: a destructor that panics keeps no other survivor from being dropped.
#[test]
fn a_survivor_that_panics_keeps_no_other_from_being_dropped() {
    limited(|| {
        let side = loop_started();
        let order = Events::new();
        let tasks: Vec<_> = (0..30)
            .map(|number| {
                let (probe, order) = (Probe::pending().0, order.clone());
                side.handle().spawn(probe.on_drop(move || {
                    order.push(number);
                    assert!(number % 3 != 0, "survivor {number}");
                }))
            })
            .collect();
        join_ok(side.handle().call(|| ()));
        let report = side.shutdown(Shutdown::now());
        assert_eq!((report.aborted.len(), report.panicked.len()), (20, 10), "{report:?}");
        assert_eq!(order.all(), (0..30).collect::<Vec<_>>());
        for (number, task) in tasks.into_iter().enumerate() {
            match join_err(task) {
                JoinError::Panicked(payload) => {
                    assert_eq!(payload.message(), Some(format!("survivor {number}").as_str()));
                }
                JoinError::Cancelled => assert_ne!(number % 3, 0),
                other => panic!("{number}: {other:?}"),
            }
        }
    });
}

// ───────────── destructors at work ─────────────

/// H4: a destructor may spawn; whatever it is told, the handle resolves and nothing is left over.
#[test]
fn a_survivors_destructor_may_spawn() {
    limited(|| {
        let side = loop_started();
        let drops = Drops::new();
        let (one, two, three) = (drops.token(), drops.token(), drops.token());
        let (give, take) = mpsc::channel();
        let handle = side.handle().clone();
        let (probe, log) = Probe::pending();
        side.handle().spawn(probe.on_drop(move || {
            let spawned = handle.spawn(async move {
                let _token = one;
                pending::<()>().await;
            });
            let called = handle.call(move || drop(two));
            let local = sideloop::try_current().map(|_| {
                sideloop::spawn_local(async move {
                    let _token = three;
                    pending::<()>().await;
                })
            });
            give.send((spawned, called, local)).expect("somebody waits");
        }));
        log.wait_polls(1);
        side.shutdown(Shutdown::now());
        let (spawned, called, local) = take.recv().expect("the destructor ran");
        assert!(join_soon(spawned).is_err());
        let _either = join_soon(called);
        if let Some(local) = local {
            assert!(join_soon(local).is_err());
        }
        assert_eq!(drops.count(), 3);
    });
}

/// H4: destructors may spawn tasks whose destructors spawn, to some depth.
#[test]
fn survivors_may_spawn_survivors() {
    fn nested(depth: usize, drops: &Drops) -> Probe {
        let (token, drops) = (drops.token(), drops.clone());
        Probe::pending().0.on_drop(move || {
            drop(token);
            if let Some(left) = depth.checked_sub(1) {
                sideloop::current().spawn(nested(left, &drops)).detach();
            }
        })
    }
    limited(|| {
        let side = loop_started();
        let drops = Drops::new();
        side.handle().spawn(nested(50, &drops)).detach();
        join_ok(side.handle().call(|| ()));
        side.shutdown(Shutdown::now());
        assert_eq!(drops.count(), 51);
    });
}

/// H4: destructors may wake and cancel: themselves, those before them and those after them.
#[test]
fn survivors_may_wake_and_cancel_each_other() {
    limited(|| {
        let side = loop_started();
        let logs = Events::new();
        let cancellers = Events::new();
        let drops = Drops::new();
        for _ in 0..10 {
            let (probe, log) = Probe::pending();
            let (all, others, token) = (logs.clone(), cancellers.clone(), drops.token());
            let task = side.handle().spawn(probe.on_drop(move || {
                drop(token);
                let logs: Vec<crate::support::ProbeLog> = all.all();
                assert!(logs.iter().all(crate::support::ProbeLog::wake));
                for other in others.all() {
                    let other: sideloop::Canceller = other;
                    other.cancel();
                    drop(sideloop::current().cancel(other.id()));
                }
            }));
            log.wait_polls(1);
            cancellers.push(task.canceller());
            logs.push(log);
        }
        let report = side.shutdown(Shutdown::now());
        let listed = report.cancelled.len() + report.aborted.len();
        assert_eq!((listed, drops.count()), (10, 10), "{report:?}");
        assert!(logs.all().iter().all(|log| log.polls() == 1));
    });
}

/// H4: destructors may set and drop timers, and join what is finished.
#[test]
fn a_survivors_destructor_may_set_timers() {
    limited(|| {
        let side = loop_started();
        let finished = side.handle().call(|| 6);
        let stuck = side.handle().spawn(pending::<()>());
        let (give, take) = mpsc::channel();
        let (probe, log) = Probe::pending();
        side.handle().spawn(probe.on_drop(move || {
            let mut context = Context::from_waker(Waker::noop());
            for delay in [Duration::ZERO, Duration::from_millis(1), Duration::MAX] {
                let mut sleep = pin!(time::sleep(delay));
                let _ = sleep.as_mut().poll(&mut context);
                sleep.as_mut().reset(time::now());
                let _ = sleep.as_mut().poll(&mut context);
            }
            let mut kept = Box::pin(time::sleep(Duration::from_secs(1)));
            let _ = kept.as_mut().poll(&mut context);
            let joined = finished.join().expect("it has ended");
            give.send((joined, kept)).expect("somebody waits");
            let _ = stuck.join();
        }));
        log.wait_polls(1);
        side.shutdown(Shutdown::now());
        let (joined, kept) = take.recv().expect("the destructor ran to its end");
        assert_eq!(joined, 6);
        drop(kept);
    });
}

/// H3, H4: a destructor at the end may ask for the shutdown again, and more slowly.
#[test]
fn a_survivors_destructor_may_ask_for_the_shutdown_again() {
    limited(|| {
        let side = loop_started();
        let (probe, log) = Probe::pending();
        side.handle().spawn(probe.on_drop(|| {
            let handle = sideloop::current();
            assert!(handle.is_closed() && handle.is_current());
            handle.shutdown(Shutdown::graceful(Duration::MAX).drain(Duration::MAX));
        }));
        log.wait_polls(1);
        let report = side.shutdown(Shutdown::now());
        assert_eq!((report.aborted.len(), report.panicked.len()), (1, 0), "{report:?}");
    });
}

// ───────────── those who wait ─────────────

/// H5: threads blocked in `join` return when the loop ends, whatever became of the task.
#[test]
fn blocked_joiners_return_when_the_loop_ends() {
    limited(|| {
        let side = loop_started();
        let (probe, log) = Probe::pending();
        let polled = side.handle().spawn(probe);
        log.wait_polls(1);
        let held = hold(side.handle());
        let unrun = side.handle().spawn(pending::<()>());
        let awaited = side.handle().spawn(pending::<()>());
        let ready = Latch::new("a thread is about to join");
        let there = ready.clone();
        let joiners = [
            thread::spawn(move || {
                there.set();
                polled.join()
            }),
            thread::spawn(move || unrun.join()),
            thread::spawn(move || futures::executor::block_on(awaited)),
        ];
        ready.wait();
        side.handle().shutdown(Shutdown::now());
        held.release();
        side.join();
        for joiner in joiners {
            let result = joiner.join().expect("a join does not panic");
            assert!(matches!(result, Err(JoinError::Cancelled | JoinError::Closed)), "{result:?}");
        }
    });
}

/// H5: a task of another loop that awaits one of this loop goes on when this loop ends.
#[test]
fn a_joiner_on_another_loop_goes_on() {
    limited(|| {
        let (ending, other) = (loop_started(), loop_started());
        let (probe, log) = Probe::pending();
        let stuck = ending.handle().spawn(probe);
        log.wait_polls(1);
        let joiner = other.handle().spawn(stuck);
        join_ok(other.handle().call(|| ()));
        ending.shutdown(Shutdown::now());
        let result = join_ok(joiner);
        assert!(matches!(result, Err(JoinError::Cancelled)), "{result:?}");
    });
}

// ───────────── the end of the process ─────────────

/// H6, L3: a process whose `main` returns ends promptly, with loops that are idle, busy and blocked.
#[test]
fn a_process_ends_with_live_loops() {
    isolated(|| {
        let (idle, busy, blocked) = (loop_started(), loop_started(), loop_started());
        idle.handle().spawn(time::sleep(Duration::from_secs(3600))).detach();
        busy.handle()
            .spawn(async {
                loop {
                    sideloop::yield_now().await;
                }
            })
            .detach();
        let stuck = Latch::new("a callback blocks its loop");
        let there = stuck.clone();
        blocked.handle().call(move || {
            there.set();
            loop {
                thread::park();
            }
        });
        stuck.wait();
        std::mem::forget((idle, busy, blocked));
    });
}

/// H6, L3: `exit` on a loop thread ends the process with its code, whatever that thread has still to drop.
#[test]
fn exit_on_the_loop_thread_ends_the_process() {
    let ended = in_child(|| {
        let side = loop_started();
        side.handle().spawn(pending::<()>()).detach();
        let _ = side.handle().call(|| std::process::exit(7)).join();
    });
    if let Some(ended) = ended {
        assert_eq!(ended.status.code(), Some(7), "{}", ended.output);
    }
}
