//! Snapshots, counters, and the watchdog.

use std::future::pending;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use sideloop::{
    Builder, Executor, JoinError, Shutdown, TaskInfo, TaskState, spawn_local, time, yield_now,
};

use crate::support::{Drops, Gate, Latch, hold, join_err, join_ok, limited, loop_started};

/// O1: each live task once, in spawn order, with name, place, state and polls.
#[test]
fn a_snapshot_shows_each_live_task_once() {
    limited(|| {
        let side = loop_started();
        let named = side.handle().task().name("named").spawn(pending::<()>());
        let gone = side.handle().call(|| ());
        let plain = side.handle().spawn(async {
            yield_now().await;
            pending::<()>().await;
        });
        let gone_id = gone.id();
        join_ok(gone);
        while join_ok(side.handle().tasks()).last().is_none_or(|task| task.polls < 2) {}
        let tasks = join_ok(side.handle().tasks());
        assert_eq!(tasks.iter().map(|task| task.id).collect::<Vec<_>>(), [named.id(), plain.id()]);
        assert!(tasks.iter().all(|task| task.id != gone_id));
        assert_eq!(tasks[0].name.as_deref(), Some("named"));
        assert!(tasks.iter().all(|task| task.state == TaskState::Idle), "{tasks:?}");
        assert_eq!((tasks[0].polls, tasks[1].polls), (1, 2));
        assert!(tasks[0].location.file().ends_with("observing.rs"));
        assert!(tasks[0].location.line() < tasks[1].location.line());
    });
}

/// O1: on the loop's own thread it is made at once, and tells what runs and what is ready.
#[test]
fn a_snapshot_tells_running_ready_and_idle() {
    limited(|| {
        let mut executor = Executor::new();
        let handle = executor.handle().clone();
        let idle = executor.spawn_local(pending::<()>());
        let asking = executor.spawn_local(async move {
            let states: Vec<_> = join_ok(handle.tasks()).iter().map(|task| task.state).collect();
            states
        });
        let ready = executor.spawn_local(async {});
        executor.run_until_idle();
        let states = join_ok(asking);
        assert_eq!(states, [TaskState::Idle, TaskState::Running, TaskState::Ready]);
        join_ok(ready);
        drop(idle);
    });
}

/// O1, C6: after the loop's end the snapshot's handle says `Closed`.
#[test]
fn a_snapshot_after_the_end_is_closed() {
    limited(|| {
        let side = loop_started();
        let handle = side.handle().clone();
        side.shutdown(Shutdown::now());
        assert!(matches!(join_err(handle.tasks()), JoinError::Closed));
    });
}

/// O1: at rest the counters balance, for each way in which a task can end.
#[test]
fn at_rest_the_counters_balance() {
    limited(|| {
        let side = loop_started();
        let handle = side.handle();
        for n in 0..10 {
            join_ok(handle.spawn(async move {
                yield_now().await;
                n
            }));
            join_err(handle.call(|| panic!("counted")));
            let stuck = handle.spawn(pending::<()>());
            stuck.cancel();
            join_err(stuck);
        }
        let live = handle.spawn(pending::<()>());
        join_ok(handle.call(|| ()));
        let now = handle.metrics();
        assert_eq!((now.spawned, now.finished, now.cancelled, now.panicked), (32, 11, 10, 10));
        assert_eq!(now.live, 1);
        assert_eq!(now.spawned, now.finished + now.cancelled + now.panicked + now.live);
        assert!(now.polls > 10 * 2 + 10 && now.local_wakes >= 10, "{now:?}");
        drop(live);
    });
}

/// O1: a task that is dropped is not polled by that, also if its destructor panics.
#[test]
fn a_drop_is_no_poll() {
    limited(|| {
        let mut executor = Executor::new();
        for polls in [0, 1] {
            let token = Drops::new().token_then(|| std::panic::resume_unwind(Box::new("dropped")));
            let task = executor.spawn_local(async move {
                let _token = token;
                pending::<()>().await;
            });
            let before = executor.handle().metrics().polls;
            assert_eq!((0..polls).map(|_| executor.turn().polls).sum::<usize>(), polls);
            task.cancel();
            assert_eq!(executor.turn().polls, 0);
            assert_eq!(executor.handle().metrics().polls - before, polls as u64);
            assert!(matches!(join_err(task), JoinError::Panicked(_)));
        }
    });
}

/// O1, W3: a sleep is ended by at most one call of the system, and each is counted.
#[test]
fn parks_and_unparks_are_counted() {
    limited(|| {
        let side = loop_started();
        let now = || side.handle().metrics();
        let asleep = || {
            while now().parks <= now().unparks {
                std::thread::yield_now();
            }
            now()
        };
        for _ in 0..50 {
            let before = asleep();
            join_ok(side.handle().call(|| ()));
            assert_eq!(now().unparks, before.unparks + 1, "{before:?}");
            assert_eq!(asleep().parks, before.parks + 1, "{before:?}");
        }
    });
}

/// O1: remote wakes and timers are counted.
#[test]
fn wakes_and_timers_are_counted() {
    limited(|| {
        let side = loop_started();
        let gate = Gate::new();
        let waits = side.handle().spawn(gate.passed());
        while gate.waiting() == 0 {
            std::thread::yield_now();
        }
        gate.open();
        join_ok(waits);
        join_ok(side.handle().spawn(time::sleep(Duration::from_millis(1))));
        let now = side.handle().metrics();
        assert_eq!((now.remote_wakes, now.timers_armed, now.timers_fired), (1, 1, 1), "{now:?}");
    });
}

/// O1: the counters can be read while the loop is stuck.
#[test]
fn the_counters_work_while_the_loop_is_stuck() {
    limited(|| {
        let side = loop_started();
        let held = hold(side.handle());
        let now = side.handle().metrics();
        assert_eq!((now.live, now.finished), (1, 0));
        held.release();
        assert_eq!(side.handle().metrics().live, 0);
    });
}

/// O2: the watchdog calls once per stall, from another thread, while the poll is still stuck.
#[test]
fn the_watchdog_calls_once_while_the_poll_is_stuck() {
    limited(|| {
        let (tell, told) = mpsc::channel();
        let limit = Duration::from_millis(5);
        let side = Builder::new()
            .watchdog(limit, move |stall| {
                let thread = std::thread::current().id();
                let line = stall.location().line();
                let name = stall.name().map(String::from);
                drop(tell.send((stall.id(), name, line, stall.elapsed(), thread)));
            })
            .start()
            .expect("starts");
        let mut ids = Vec::new();
        for n in 0..3 {
            let release = Latch::new("told");
            let until = release.clone();
            let line = line!() + 1;
            let stuck = side.handle().task().name(format!("stuck {n}")).spawn(async move {
                until.wait();
                std::thread::current().id()
            });
            let (id, name, at, elapsed, thread) = told.recv().expect("told while it is stuck");
            assert!(!stuck.is_finished());
            assert_eq!((id, name, at), (stuck.id(), Some(format!("stuck {n}")), line));
            assert!(elapsed >= limit, "{elapsed:?}");
            ids.push(id);
            release.set();
            assert_ne!(join_ok(stuck), thread);
        }
        drop(side);
        assert!(told.try_recv().is_err(), "told more than once for one of {ids:?}");
    });
}

/// O2: a destructor that takes too long is a stall too.
#[test]
fn the_watchdog_watches_destructors() {
    limited(|| {
        let (tell, told) = mpsc::channel();
        let side = Builder::new()
            .watchdog(Duration::from_millis(2), move |stall| {
                let _ = tell.send(stall.id());
            })
            .start()
            .expect("starts");
        let drops = crate::support::Drops::new();
        let release = Latch::new("told");
        let until = release.clone();
        let token = drops.token_then(move || until.wait());
        let slow = side.handle().spawn(async move {
            let _token = token;
            pending::<()>().await;
        });
        let id = slow.id();
        slow.cancel();
        assert_eq!(told.recv().expect("told"), id);
        release.set();
        join_err(slow);
    });
}

/// O2, X1: a panic in the watchdog's callback is swallowed, and the next stall is told.
#[test]
fn a_panic_in_the_watchdogs_callback_is_swallowed() {
    limited(|| {
        let (tell, told) = mpsc::channel();
        let side = Builder::new()
            .watchdog(Duration::from_millis(2), move |_| {
                tell.send(()).expect("it is awaited");
                panic!("in the callback");
            })
            .start()
            .expect("starts");
        for _ in 0..2 {
            let release = Latch::new("told");
            let until = release.clone();
            let stuck = side.handle().call(move || until.wait());
            told.recv().expect("told");
            release.set();
            join_ok(stuck);
        }
    });
}

/// O2: with a watchdog the time spent in tasks is measured; without one it is zero.
#[test]
fn busy_time_is_measured_with_a_watchdog() {
    limited(|| {
        let plain = loop_started();
        let side = Builder::new().watchdog(Duration::MAX, |_| ()).start().expect("starts");
        for handle in [plain.handle(), side.handle()] {
            join_ok(handle.call(|| {
                let begun = std::time::Instant::now();
                while begun.elapsed() < Duration::from_millis(3) {}
            }));
        }
        assert_eq!(plain.handle().metrics().busy, Duration::ZERO);
        assert!(side.handle().metrics().busy >= Duration::from_millis(3));
    });
}

/// O2: limits of zero and of ever do no harm.
#[test]
fn extreme_limits_do_no_harm() {
    limited(|| {
        for limit in [Duration::ZERO, Duration::MAX] {
            let side = Builder::new().watchdog(limit, |_| ()).start().expect("starts");
            assert_eq!(join_ok(side.handle().call(|| 1)), 1);
            let mut executor = Builder::new().watchdog(limit, |_| ()).build();
            assert_eq!(executor.block_on(async { 2 }), 2);
        }
    });
}

/// O1: a task that is spawned outside of the run is as old as it is, whenever the loop ran last.
#[test]
fn the_age_of_a_task_counts_from_its_spawn_outside_of_a_turn() {
    const PAUSE: Duration = Duration::from_millis(200);
    limited(|| {
        let mut executor = Executor::new();
        executor.spawn_local(time::sleep(Duration::from_secs(3600))).detach();
        executor.run_until_idle();
        executor.turn();
        thread::sleep(PAUSE);
        let handle = executor.handle().clone();
        let ages = || handle.tasks().join().expect("here");
        let new = executor.spawn_local(std::future::pending::<()>());
        let age_of =
            |tasks: &[TaskInfo], id| tasks.iter().find(|task| task.id == id).map(|task| task.age);
        let age = |tasks: Vec<TaskInfo>| age_of(&tasks, new.id()).expect("it lives");
        let (young, begun) = (age(ages()), Instant::now());
        thread::sleep(PAUSE);
        assert!(age(ages()) >= young + PAUSE, "a look from outside reads the clock");
        let in_main = executor.block_on(async {
            let made = spawn_local(std::future::pending::<()>());
            thread::sleep(PAUSE);
            let tasks = handle.tasks().await.expect("here");
            (age_of(&tasks, made.id()).expect("it lives"), age(tasks))
        });
        assert!(in_main.0 < in_main.1);
        assert!(in_main.1 >= young + 2 * PAUSE && in_main.1 <= young + begun.elapsed() + PAUSE / 2);
        assert!(young < PAUSE, "counted from the last turn: {young:?}");
    });
}
