//! An executor without a thread: turns, runs, and what a host loop needs to know.

mod guest;
mod hosted;
mod outside;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use sideloop::{
    Builder, CancelRequest, Executor, JoinError, Shutdown, current, spawn_local, time, yield_now,
};

use crate::support::*;

/// An hour: no test waits for it.
const FAR: Duration = Duration::from_secs(3600);

/// G2: a turn with nothing to do returns at once and says so.
#[test]
fn a_turn_without_work_is_idle() {
    limited(|| {
        let mut executor = Executor::new();
        for _ in 0..1000 {
            let turn = executor.turn();
            assert!(turn.idle, "{turn:?}");
            assert_eq!((turn.polls, turn.fired), (0, 0));
            assert_eq!(turn.next_deadline, None);
        }
    });
}

/// G2: a turn never blocks, whatever is pending.
#[test]
fn a_turn_never_blocks() {
    limited(|| {
        let mut executor = Executor::new();
        executor.spawn_local(std::future::pending::<()>()).detach();
        executor.spawn_local(time::sleep(FAR)).detach();
        executor.handle().spawn(time::sleep(Duration::MAX)).detach();
        let since = Instant::now();
        assert_eq!(executor.turn().polls, 3);
        for _ in 0..100 {
            let turn = executor.turn();
            assert!(turn.idle && turn.polls == 0, "{turn:?}");
        }
        assert_eq!(executor.run_until_idle(), 0);
        assert!(since.elapsed() < WAIT);
    });
}

/// G2: `next_deadline` is the earliest deadline, to the nanosecond, and follows every change.
#[test]
fn next_deadline_is_exact() {
    limited(|| {
        let mut executor = Executor::new();
        let start = Instant::now() + FAR;
        let at = |nanos| start + Duration::from_nanos(nanos);
        let tasks: Vec<_> =
            [5, 3, 9, 1_000_007].map(|n| executor.spawn_local(time::sleep_until(at(n)))).into();
        assert_eq!(executor.turn().next_deadline, Some(at(3)));
        tasks[1].cancel();
        let turn = executor.turn();
        assert!(turn.idle, "{turn:?}");
        assert_eq!(turn.next_deadline, Some(at(5)));
        executor.spawn_local(time::sleep_until(at(2))).detach();
        assert_eq!(executor.turn().next_deadline, Some(at(2)));
        tasks[0].abort();
        assert_eq!(executor.turn().next_deadline, Some(at(2)));
    });
}

/// G2, M2: also after a reset, to later and to earlier.
#[test]
fn next_deadline_follows_a_reset() {
    limited(|| {
        let mut executor = Executor::new();
        let start = Instant::now() + FAR;
        let gates = [Gate::new(), Gate::new()];
        let [first, second] = gates.each_ref().map(Gate::passed);
        executor
            .spawn_local(async move {
                let mut sleep = std::pin::pin!(time::sleep_until(start));
                assert!(futures::poll!(sleep.as_mut()).is_pending());
                first.await;
                sleep.as_mut().reset(start + FAR);
                assert!(futures::poll!(sleep.as_mut()).is_pending());
                assert_eq!(sleep.deadline(), start + FAR);
                second.await;
                sleep.as_mut().reset(start - Duration::from_nanos(1));
                sleep.await;
            })
            .detach();
        executor.run_until_idle();
        assert_eq!(executor.turn().next_deadline, Some(start));
        gates[0].open();
        executor.run_until_idle();
        assert_eq!(executor.turn().next_deadline, Some(start + FAR));
        gates[1].open();
        executor.run_until_idle();
        let earlier = start - Duration::from_nanos(1);
        assert_eq!(executor.turn().next_deadline, Some(earlier));
    });
}

/// G2, M5: a timer that is never due is no deadline; nor is one that was never polled.
#[test]
fn what_never_comes_due_is_no_deadline() {
    limited(|| {
        let mut executor = Executor::new();
        executor.spawn_local(time::sleep(Duration::MAX)).detach();
        let unpolled = Rc::new(RefCell::new(None));
        let keep = Rc::clone(&unpolled);
        let makes = async move { *keep.borrow_mut() = Some(time::sleep(FAR)) };
        executor.spawn_local(makes).detach();
        executor.run_until_idle();
        assert!(unpolled.borrow().is_some());
        assert_eq!(executor.turn().next_deadline, None);
    });
}

/// G2: a turn counts the timers it fired; a due one is fired and polled in the same turn.
#[test]
fn a_turn_counts_what_it_fired() {
    limited(|| {
        let mut executor = Executor::new();
        let deadline = Instant::now() + Duration::from_millis(2);
        let tasks = [(); 3].map(|()| executor.spawn_local(time::sleep_until(deadline)));
        assert_eq!(executor.turn().fired, 0);
        while Instant::now() <= deadline {
            std::hint::spin_loop();
        }
        let turn = executor.turn();
        assert_eq!((turn.fired, turn.polls, turn.idle), (3, 3, true), "{turn:?}");
        assert_eq!(turn.next_deadline, None);
        assert!(tasks.iter().all(|task| task.is_finished()));
    });
}

/// G2: `idle` means that nothing is ready: not with a rest of a batch, not after a self-wake.
#[test]
fn a_turn_that_leaves_something_ready_is_not_idle() {
    limited(|| {
        let mut executor = Builder::new().batch(1).build();
        executor.spawn_local(async { yield_now().await }).detach();
        executor.spawn_local(async {}).detach();
        let idle: Vec<_> = (0..4).map(|_| executor.turn().idle).collect();
        assert_eq!(idle, [false, false, true, true]);
        executor.spawn_local(async { drop(spawn_local(async {})) }).detach();
        assert!(!executor.turn().idle, "it has just spawned a task");
    });
}

/// G2: a turn of one executor inside a task of another is no re-entry.
#[test]
fn a_turn_inside_another_executors_turn_works() {
    limited(|| {
        let mut outer = Executor::new();
        let nested = outer.spawn_local(async {
            let outer = current();
            let mut inner = Executor::new();
            let value = inner.spawn_local(async { current().is_current() });
            inner.turn();
            assert!(outer.is_current(), "the outer executor is not the current one any more");
            assert!(!inner.handle().is_current());
            value.join().expect("finished")
        });
        assert!(outer.block_on(nested).expect("runs"));
    });
}

/// G2: a turn is not re-entered: an executor within its own task cannot be borrowed for one.
#[test]
fn a_turn_is_not_re_entered() {
    limited(|| {
        let executor = Rc::new(RefCell::new(Executor::new()));
        let own = Rc::downgrade(&executor);
        let refused = executor.borrow().spawn_local(async move {
            let own = own.upgrade().expect("it runs");
            own.try_borrow_mut().is_err()
        });
        executor.borrow_mut().run_until_idle();
        assert!(refused.join().expect("finished"));
    });
}

/// The contract of `run_until_idle`: it counts polls, follows everything that gets ready, and
/// leaves timers that are not due.
#[test]
fn run_until_idle_runs_what_is_ready() {
    limited(|| {
        let mut executor = Executor::new();
        let count = Rc::new(Cell::new(0));
        for _ in 0..100 {
            let count = Rc::clone(&count);
            executor
                .spawn_local(async move {
                    yield_now().await;
                    spawn_local(async move { count.set(count.get() + 1) }).await.expect("runs");
                })
                .detach();
        }
        let far = executor.spawn_local(time::sleep(FAR));
        assert_eq!(executor.run_until_idle(), 100 + 100 + 100 + 100 + 1);
        assert_eq!(count.get(), 100);
        assert!(!far.is_finished());
        assert_eq!(executor.run_until_idle(), 0);
    });
}

/// The contract of `run_until_idle`, M4: a sleep of zero is due at once.
#[test]
fn run_until_idle_fires_what_is_due() {
    limited(|| {
        let mut executor = Executor::new();
        let task = executor.spawn_local(async {
            for _ in 0..10 {
                time::sleep(Duration::ZERO).await;
            }
        });
        executor.run_until_idle();
        assert!(task.is_finished());
    });
}

/// The contract of `block_on`: the future may borrow, be woken from anywhere, and sleep.
#[test]
fn block_on_waits_for_wakes_and_timers() {
    limited(|| {
        let mut executor = Executor::new();
        let mut log = Vec::new();
        let gate = Gate::new();
        let opens = gate.clone();
        executor.block_on(async {
            let opener = thread::spawn(move || opens.open());
            gate.passed().await;
            log.push("woken");
            time::sleep(Duration::from_millis(2)).await;
            log.push("slept");
            opener.join().expect("opens");
        });
        assert_eq!(log, ["woken", "slept"]);
    });
}

/// The contract of `block_on`: the future and its tasks share the thread fairly.
#[test]
fn block_on_starves_neither_its_future_nor_its_tasks() {
    limited(|| {
        let mut executor = Executor::new();
        executor
            .spawn_local(async {
                loop {
                    yield_now().await
                }
            })
            .detach();
        let quiet = executor.spawn_local(async { 1 });
        let rounds = executor.block_on(async {
            for _ in 0..1000 {
                yield_now().await;
            }
            quiet.await.expect("runs")
        });
        assert_eq!(rounds, 1);
        let busy_root = executor.spawn_local(async {
            for _ in 0..1000 {
                yield_now().await
            }
        });
        executor.block_on(async {
            while !busy_root.is_finished() {
                yield_now().await;
            }
        });
    });
}

/// The contract of `run`: until a shutdown is requested, from inside or outside; then its report.
#[test]
fn run_ends_at_the_shutdown() {
    limited(|| {
        for inside in [true, false] {
            let mut executor = Executor::new();
            let handle = executor.handle().clone();
            let (pending, log) = Probe::pending();
            let pending = executor.handle().task().name("stays").spawn(pending);
            let started = Latch::new("the executor runs");
            let starts = started.clone();
            executor
                .spawn_local(async move {
                    yield_now().await;
                    starts.set();
                    if inside {
                        current().shutdown(Shutdown::now());
                    }
                })
                .detach();
            let other = thread::spawn(move || {
                started.wait();
                if !inside {
                    handle.shutdown(Shutdown::now());
                }
            });
            let report = executor.run();
            other.join().expect("ends");
            assert_eq!(log.drops().threads(), [thread::current().id()]);
            let listed: Vec<_> = report.cancelled.iter().chain(&report.aborted).collect();
            assert_eq!(listed.len(), 1, "{report:?}");
            assert_eq!((listed[0].id, listed[0].name.as_deref()), (pending.id(), Some("stays")));
            assert!(matches!(join_err(pending), JoinError::Cancelled));
            assert!(executor.handle().is_closed());
        }
    });
}

/// The contract of `run`: a shutdown requested before it is seen at once.
#[test]
fn run_after_the_shutdown_returns_at_once() {
    limited(|| {
        let mut executor = Executor::new();
        let task = executor.spawn_local(std::future::pending::<()>());
        executor.handle().shutdown(Shutdown::now());
        let report = executor.run();
        assert_eq!(report.cancelled.len() + report.aborted.len(), 1, "{report:?}");
        assert!(matches!(join_err(task), JoinError::Cancelled));
        executor.run();
        executor.turn();
        assert_eq!(executor.run_until_idle(), 0);
        assert!(matches!(join_err(executor.handle().call(|| ())), JoinError::Closed));
        let late = executor.spawn_local(async {});
        drop(executor);
        assert!(matches!(join_err(late), JoinError::Closed | JoinError::Cancelled));
    });
}

/// H4: dropping an executor drops its tasks here, in the order in which they were spawned.
#[test]
fn a_dropped_executor_drops_its_tasks_in_order() {
    limited(|| {
        let mut executor = Executor::new();
        let order: Arc<Mutex<Vec<usize>>> = Arc::default();
        let drops = Drops::new();
        for n in 0..100 {
            let order = Arc::clone(&order);
            let token = drops.token_then(move || order.lock().expect("order").push(n));
            let future = async move {
                let _token = token;
                std::future::pending::<()>().await;
            };
            match n % 2 {
                0 => executor.spawn_local(future).detach(),
                _ => executor.handle().spawn(future).detach(),
            }
            if n == 50 {
                executor.run_until_idle();
            }
        }
        drop(executor);
        assert!(order.lock().expect("order").iter().copied().eq(0..100), "{order:?}");
        assert_eq!(drops.threads(), vec![thread::current().id(); 100]);
    });
}

/// C1: cancels reach the tasks of an executor between its turns, from here and from elsewhere.
#[test]
fn a_cancel_between_turns_takes_effect_in_the_next() {
    limited(|| {
        let mut executor = Executor::new();
        let [(one, first), (two, second), (three, third)] = [(); 3].map(|()| Probe::pending());
        let tasks = [one, two, three].map(|probe| executor.spawn_local(probe));
        executor.run_until_idle();
        assert_eq!(tasks[0].cancel(), CancelRequest::Requested);
        let (canceller, id) = (tasks[1].canceller(), tasks[2].id());
        let handle = executor.handle().clone();
        let elsewhere = thread::spawn(move || (canceller.cancel(), handle.cancel(id)));
        let (answer, by_id) = elsewhere.join().expect("cancels");
        assert_eq!(answer, CancelRequest::Requested);
        executor.run_until_idle();
        assert_eq!([first, second, third].map(|log| log.dropped()), [1; 3]);
        assert_eq!(by_id.join().expect("answered"), CancelRequest::Requested);
        for task in tasks {
            assert!(matches!(task.join(), Err(JoinError::Cancelled)));
        }
    });
}
