//! P7: a loop that has been told to end takes in nothing more, and says so at once.

use std::thread;
use std::time::Duration;

use sideloop::{
    CancelRequest, Executor, JoinError, LoopThread, Shutdown, SpawnError, current, spawn_local,
};

use crate::support::*;

/// A loop that was told to end and is kept from doing so; `end` lets it go and waits for it.
struct Ending {
    looped: LoopThread,
    hold: Hold,
}

impl Ending {
    fn new() -> Ending {
        let looped = loop_started();
        let hold = hold(looped.handle());
        looped.handle().shutdown(Shutdown::now());
        Ending { looped, hold }
    }

    fn end(self) {
        self.hold.release();
        self.looped.join();
    }
}

/// P7, H1: `is_closed` is true from the request on.
#[test]
fn a_loop_is_closed_from_the_request_on() {
    limited(|| {
        let ending = Ending::new();
        let handle = ending.looped.handle().clone();
        assert!(handle.is_closed());
        ending.end();
        assert!(handle.is_closed());
    });
}

/// P7: `spawn` and `call` give a handle that reports `Closed` at once, while the loop still ends.
#[test]
fn a_spawn_after_the_request_is_closed_at_once() {
    limited(|| {
        let ending = Ending::new();
        let handle = ending.looped.handle().clone();
        let tasks = [
            handle.spawn(async {}),
            handle.spawn_with(|| async {}),
            handle.call(|| ()),
            handle.task().name("late").spawn(async {}),
            handle.task().spawn_with(|| async {}),
        ];
        for task in tasks {
            assert!(task.is_finished());
            assert_eq!(task.cancel(), CancelRequest::Finished);
            let ended = task.join_timeout(Duration::ZERO).expect("no wait");
            assert!(matches!(ended, Err(JoinError::Closed)), "{ended:?}");
        }
        ending.end();
    });
}

/// P7: the future or closure is dropped on the caller's thread, before the call returns.
#[test]
fn a_refused_future_is_dropped_on_the_callers_thread() {
    limited(|| {
        let ending = Ending::new();
        let (handle, me) = (ending.looped.handle().clone(), thread::current().id());
        let drops = Drops::new();
        let (spawned, called, made) = (drops.token(), drops.token(), drops.token());
        let first = handle.spawn(async move { drop(spawned) });
        assert_eq!(drops.threads(), [me]);
        let second = handle.call(move || drop(called));
        assert_eq!(drops.threads(), [me; 2]);
        let third = handle.spawn_with(move || async move { drop(made) });
        assert_eq!(drops.threads(), [me; 3]);
        ending.end();
        [first, second, third].into_iter().for_each(|task| {
            assert!(matches!(join_err(task), JoinError::Closed));
        });
    });
}

/// P7, P1: the destructor of a refused future may use the handle that refused it.
#[test]
fn a_refused_future_may_spawn_in_its_destructor() {
    limited(|| {
        let ending = Ending::new();
        let (handle, again) = (ending.looped.handle().clone(), ending.looped.handle().clone());
        let token = Drops::new().token_then(move || {
            assert!(matches!(again.call(|| ()).join(), Err(JoinError::Closed)));
            again.shutdown(Shutdown::now());
        });
        assert!(matches!(handle.call(move || drop(token)).join(), Err(JoinError::Closed)));
        ending.end();
    });
}

/// P7: `try_spawn` gives the future back, untouched: another loop can run it.
#[test]
fn try_spawn_gives_the_future_back() {
    limited(|| {
        let ending = Ending::new();
        let handle = ending.looped.handle().clone();
        let (probe, log) = Probe::ready_at(1, "kept");
        let error = handle.try_spawn(probe).expect_err("closed");
        assert!(matches!(error, SpawnError::Closed(_)), "{error:?}");
        assert!(!error.to_string().is_empty());
        assert_eq!((log.polls(), log.dropped()), (0, 0));
        let other = loop_started();
        assert_eq!(join_ok(other.handle().spawn(error.into_inner())), "kept");
        ending.end();
        let (probe, log) = Probe::ready_at(1, ());
        let error = handle.try_spawn(probe).expect_err("ended");
        assert!(matches!(&error, SpawnError::Closed(_)), "{error:?}");
        drop(error);
        assert_eq!((log.polls(), log.dropped()), (0, 1));
    });
}

/// P7: the same after the end, for a loop whose `LoopThread` was dropped and for an executor.
#[test]
fn a_handle_outlives_its_loop() {
    limited(|| {
        let (looped, executor) = (loop_started(), Executor::new());
        let handles = [looped.handle().clone(), executor.handle().clone()];
        drop((looped, executor));
        for handle in handles {
            assert!(handle.is_closed() && !handle.is_current());
            let task = handle.spawn(async {});
            let id = task.id();
            assert!(matches!(join_err(task), JoinError::Closed));
            for request in [handle.cancel(id), handle.abort(id)] {
                assert!(matches!(join_err(request), JoinError::Closed), "C6");
            }
            handle.shutdown(Shutdown::now());
        }
    });
}

/// P7: ids given out after the end are unique too.
#[test]
fn refused_tasks_have_ids_of_their_own() {
    limited(|| {
        let mut executor = Executor::new();
        let handle = executor.handle().clone();
        handle.shutdown(Shutdown::now());
        executor.run();
        let mut ids: Vec<_> = (0..100)
            .flat_map(|_| [handle.spawn(async {}).id(), executor.spawn_local(async {}).id()])
            .collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 200);
    });
}

/// P7: during a drain, what running tasks spawn is accepted, whichever way they spawn it.
#[test]
fn a_running_task_may_spawn_during_a_drain() {
    limited(|| {
        let looped = loop_started();
        let (handle, gate) = (looped.handle().clone(), Gate::new());
        let (passed, own) = (gate.passed(), handle.clone());
        let parent = handle.spawn(async move {
            passed.await;
            assert!(own.is_closed());
            let local = spawn_local(async { 1 }).await.expect("local");
            let spawned = current().spawn(async { 10 }).await.expect("spawn");
            let with = own.spawn_with(|| async { 100 }).await.expect("spawn_with");
            let called = own.call(|| 1000).await.expect("call");
            let tried = own.try_spawn(async { 10_000 }).expect("try_spawn").await.expect("ends");
            let nested = own
                .task()
                .name("child")
                .spawn(async { spawn_local(async { 100_000 }).await.expect("grandchild") });
            local + spawned + with + called + tried + nested.await.expect("child")
        });
        let drain = Shutdown::now().drain(WAIT);
        handle.shutdown(drain);
        assert!(matches!(join_err(handle.call(|| ())), JoinError::Closed), "from outside");
        gate.open();
        assert_eq!(join_ok(parent), 111_111);
        let report = looped.join();
        assert_eq!(report.finished, 8, "{report:?}");
        assert!(report.cancelled.is_empty() && report.aborted.is_empty(), "{report:?}");
    });
}

/// P6, P7: what was accepted before the request runs to its end in a drain, every one.
#[test]
fn a_drain_runs_everything_accepted_before() {
    limited(|| {
        let looped = loop_started();
        let hold = hold(looped.handle());
        let handle = looped.handle().clone();
        let tasks: Vec<_> = (0..1000).map(|n| handle.call(move || n)).collect();
        handle.shutdown(Shutdown::now().drain(WAIT));
        hold.release();
        let report = looped.join();
        assert_eq!(
            report.finished, 1001,
            "the thousand and the one that held the loop: {report:?}"
        );
        for (n, task) in tasks.into_iter().enumerate() {
            assert_eq!(join_ok(task), n);
        }
    });
}

/// P6, P7: a request made on the loop thread closes the loop for the very same callback; what it
/// spawns then is answered.
#[test]
fn a_callback_that_ends_its_loop_loses_nothing_it_spawns() {
    limited(|| {
        let looped = loop_started();
        let handle = looped.handle().clone();
        let (drops, own) = (Drops::new(), handle.clone());
        let token = drops.token();
        let ended = handle.call(move || {
            own.shutdown(Shutdown::now());
            own.is_closed().then(|| own.spawn(async move { drop(token) }))
        });
        let late = join_ok(ended).expect("closed");
        assert!(matches!(join_err(late), JoinError::Closed | JoinError::Cancelled));
        assert_eq!(drops.count(), 1);
        looped.join();
    });
}

/// P6, H4: what destructors spawn while their executor is dropped is answered and dropped, once.
#[test]
fn a_destructor_that_spawns_while_its_executor_is_dropped_loses_nothing() {
    limited(|| {
        for started in [true, false] {
            let mut executor = Executor::new();
            let (handle, drops, answers) =
                (executor.handle().clone(), Drops::new(), std::sync::mpsc::channel());
            for _ in 0..10 {
                let (own, spawned, send) = (handle.clone(), drops.token(), answers.0.clone());
                let token = drops.token_then(move || {
                    let late = own.spawn(async move { drop(spawned) });
                    send.send(late).expect("the test listens");
                });
                let future = async move {
                    let _token = token;
                    std::future::pending::<()>().await;
                };
                executor.spawn_local(future).detach();
            }
            if started {
                executor.run_until_idle();
            }
            drop((executor, answers.0));
            for late in answers.1 {
                let error = join_err(late);
                assert!(matches!(error, JoinError::Closed | JoinError::Cancelled), "{error:?}");
            }
            assert_eq!(drops.threads(), vec![thread::current().id(); 20], "started: {started}");
        }
    });
}
