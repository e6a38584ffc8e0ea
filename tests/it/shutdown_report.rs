//! The report of a shutdown: exactly what was left, by id, name and spawn location.

use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use sideloop::{
    Builder, CancelRequest, Executor, Handle, JoinError, JoinHandle, Shutdown, TaskId, TaskInfo,
    current, time, yield_now,
};

use crate::shutdown::drain;
use crate::support::{Drops, Gate, Probe, hold, join_err, join_ok, limited, loop_started};

/// The ids of `list`, in its order.
fn ids(list: &[TaskInfo]) -> Vec<TaskId> {
    list.iter().map(|info| info.id).collect()
}

/// H2: an entry names the task by id, name and the line that spawned it.
#[test]
fn an_entry_has_id_name_and_spawn_location() {
    limited(|| {
        let side = loop_started();
        let handle = side.handle();
        let (plain, first) = (handle.spawn(pending::<()>()), line!());
        let (named, second) = (handle.task().name("waits").spawn(pending::<()>()), line!());
        let (made, third) = (handle.spawn_with(pending::<()>), line!());
        let (local, fourth) = join_ok(handle.call(|| {
            let id = sideloop::spawn_local(pending::<()>()).id();
            (id, line!() - 1)
        }));
        let expected = [
            (plain.id(), None, first),
            (named.id(), Some("waits"), second),
            (made.id(), None, third),
            (local, None, fourth),
        ];
        let report = side.shutdown(Shutdown::now());
        assert_eq!(report.aborted.len(), expected.len(), "{report:?}");
        for (id, name, line) in expected {
            let info = report.aborted.iter().find(|info| info.id == id);
            let info = info.unwrap_or_else(|| panic!("no {id} in {report:?}"));
            assert_eq!(info.name.as_deref(), name, "{info:?}");
            assert_eq!((info.location.file(), info.location.line()), (file!(), line), "{info:?}");
        }
    });
}

/// H2: the four outcomes are told apart, and each task is in one of them.
#[test]
fn the_outcomes_are_told_apart() {
    limited(|| {
        let side = loop_started();
        let handle = side.handle();
        let gate = Gate::new();
        let finishing: Vec<_> = (0..3).map(|_| handle.spawn(gate.passed())).collect();
        let passed = gate.passed();
        let panicking = handle.spawn(async move {
            passed.await;
            panic!("in the drain");
        });
        let stuck: Vec<_> = (0..2).map(|_| handle.spawn(pending::<()>())).collect();
        let (probe, _) = Probe::pending();
        let cancelled = handle.spawn(pending::<()>());
        let bomb = handle.spawn(probe.on_drop(|| panic!("in the destructor")));
        join_ok(handle.call(|| ()));
        handle.shutdown(drain());
        gate.open();
        for task in finishing {
            join_ok(task);
        }
        let panicked = panicking.id();
        join_err::<()>(panicking);
        let cancelled_id = cancelled.id();
        cancelled.cancel();
        join_err(cancelled);
        let report = side.shutdown(Shutdown::now());
        assert_eq!(report.finished, 3, "{report:?}");
        assert_eq!(ids(&report.cancelled), [cancelled_id], "{report:?}");
        assert_eq!(ids(&report.aborted), stuck.iter().map(JoinHandle::id).collect::<Vec<_>>());
        assert_eq!(ids(&report.panicked), [panicked, bomb.id()], "{report:?}");
        assert!(matches!(join_err(bomb), JoinError::Panicked(_)));
    });
}

/// H2: what ended before the request is not in the report.
#[test]
fn what_ended_before_the_request_is_not_counted() {
    limited(|| {
        let side = loop_started();
        (0..10).for_each(|_| join_ok(side.handle().call(|| ())));
        join_err(side.handle().call(|| panic!("before")));
        let cancelled = side.handle().spawn(pending::<()>());
        cancelled.cancel();
        join_err(cancelled);
        join_ok(side.handle().call(|| ()));
        let report = side.shutdown(drain());
        assert_eq!(report.finished, 0, "{report:?}");
        let lists = [&report.cancelled, &report.aborted, &report.panicked];
        assert!(lists.iter().all(|list| list.is_empty()), "{report:?}");
    });
}

/// H2, P6: what was accepted and never ran is reported, and its handle says so.
#[test]
fn what_never_ran_is_reported() {
    limited(|| {
        let side = loop_started();
        let held = hold(side.handle());
        let drops = Drops::new();
        let tasks: Vec<_> = (0..10)
            .map(|_| {
                let token = drops.token();
                side.handle().call(move || drop(token))
            })
            .collect();
        side.handle().shutdown(Shutdown::now());
        held.release();
        let report = side.join();
        assert_eq!(drops.count(), 10);
        assert_eq!(ids(&report.aborted), tasks.iter().map(JoinHandle::id).collect::<Vec<_>>());
        for task in tasks {
            let error = join_err(task);
            assert!(matches!(error, JoinError::Cancelled | JoinError::Closed), "{error:?}");
        }
    });
}

/// H2: the lists are in spawn order, also where tasks were spawned on the loop thread in between.
#[test]
fn the_lists_are_in_spawn_order() {
    limited(|| {
        let side = loop_started();
        let mut expected = Vec::new();
        for _ in 0..20 {
            expected.push(side.handle().spawn(pending::<()>()).id());
            expected
                .push(join_ok(side.handle().call(|| sideloop::spawn_local(pending::<()>()).id())));
        }
        let report = side.shutdown(Shutdown::graceful(Duration::MAX));
        assert_eq!(ids(&report.cancelled), expected);
    });
}

/// H2: a cancel by id is no task: its answer is not in the report.
#[test]
fn requests_by_id_are_not_in_the_report() {
    limited(|| {
        let side = loop_started();
        let task = side.handle().spawn(pending::<()>());
        join_ok(side.handle().call(|| ()));
        side.handle().shutdown(drain());
        join_ok(side.handle().cancel(task.id()));
        let report = side.join();
        assert_eq!((report.finished, report.aborted.len()), (0, 0), "{report:?}");
        assert_eq!(ids(&report.cancelled), [task.id()]);
    });
}

/// H2: a destructor that panics after `Ready` in the drain is in `panicked`, and only there.
#[test]
fn a_destructor_that_panics_after_ready_is_listed_once() {
    limited(|| {
        let side = loop_started();
        let (probe, log) = Probe::ready_at(2, ());
        let task = side.handle().spawn(probe.on_drop(|| panic!("late")));
        log.wait_polls(1);
        side.handle().shutdown(drain());
        log.wake();
        let report = side.join();
        assert_eq!(ids(&report.panicked), [task.id()], "{report:?}");
        assert_eq!((report.finished, report.aborted.len()), (0, 0), "{report:?}");
    });
}

/// H2: the report is the same for the thread that waited and does not depend on the handles.
#[test]
fn detached_tasks_are_reported_too() {
    limited(|| {
        let side = loop_started();
        let id = {
            let task = side.handle().task().name(String::from("nobody's")).spawn(pending::<()>());
            let id = task.id();
            task.detach();
            id
        };
        join_ok(side.handle().call(|| ()));
        let report = side.shutdown(Shutdown::now());
        assert_eq!(ids(&report.aborted), [id]);
        assert_eq!(report.aborted[0].name.as_deref(), Some("nobody's"));
    });
}

/// H2: an executor's `run` gives the same report.
#[test]
fn the_run_of_an_executor_gives_the_report() {
    limited(|| {
        let mut executor = Executor::new();
        let stuck = executor.spawn_local(pending::<()>());
        executor.run_until_idle();
        let handle = executor.handle().clone();
        let task = executor.spawn_local(async move { handle.shutdown(Shutdown::now()) });
        let report = executor.run();
        assert_eq!(report.finished, 1, "{report:?}");
        assert_eq!(ids(&report.aborted), [stuck.id()], "{report:?}");
        assert!(task.is_finished() && stuck.is_finished());
    });
}

/// H3: a shutdown asked for before `run` ends it at once.
#[test]
fn a_run_after_the_request_ends_at_once() {
    limited(|| {
        let mut executor = Executor::new();
        let (probe, log) = Probe::pending();
        let task = executor.spawn_local(probe);
        executor.handle().shutdown(Shutdown::now());
        let report = executor.run();
        assert_eq!(ids(&report.aborted), [task.id()], "{report:?}");
        assert_eq!((log.polls(), log.dropped()), (0, 1));
    });
}

/// H4, P7: the stop hook finds all tasks gone and the loop closed, and may still use its handle.
#[test]
fn the_stop_hook_finds_the_loop_closed() {
    limited(|| {
        let (give, take) = mpsc::channel::<(Handle, JoinHandle<()>)>();
        let (tell, told) = mpsc::channel();
        let stop = move || {
            let (handle, stuck) = take.recv().expect("sent before the shutdown");
            handle.shutdown(drain());
            let (answer, late) = (stuck.cancel(), handle.call(|| ()));
            tell.send((handle.is_closed(), answer, late.join(), stuck.join())).expect("heard");
        };
        let side = Builder::new().on_stop(stop).start().expect("a loop thread starts");
        let stuck = side.handle().spawn(pending::<()>());
        give.send((side.handle().clone(), stuck)).expect("the hook waits");
        let report = side.shutdown(Shutdown::now());
        assert_eq!(report.aborted.len(), 1, "{report:?}");
        let (closed, answer, late, stuck) = told.recv().expect("the hook ran to its end");
        assert!(closed && answer == CancelRequest::Finished, "{answer:?}");
        assert!(matches!(late, Err(JoinError::Closed)), "{late:?}");
        assert!(matches!(stuck, Err(JoinError::Cancelled | JoinError::Closed)), "{stuck:?}");
    });
}

/// H1: limits that are over at the request end what is ready in the very next turn, also where the task
/// that asked had made a timer before.
#[test]
fn limits_of_zero_leave_no_poll_for_the_next_turn() {
    for how in [Shutdown::now(), Shutdown::graceful(Duration::MAX)] {
        limited(move || {
            let mut executor = Builder::new().batch(1).build();
            let polls = Rc::new(Cell::new(0));
            let counted = polls.clone();
            let asks = async move {
                let read = time::sleep(Duration::ZERO).deadline();
                while Instant::now() <= read {}
                current().shutdown(how);
                counted.set(1);
                yield_now().await;
                counted.set(2);
            };
            executor.spawn_local(asks).detach();
            let report = executor.run();
            let ended = report.aborted.len() + report.cancelled.len();
            assert_eq!((polls.get(), ended, report.finished), (1, 1, 0), "{report:?}");
        });
    }
}
