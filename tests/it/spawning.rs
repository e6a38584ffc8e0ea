//! Spawning and calling: what a spawn does at once, in which order things start, and where.

mod anywhere;
mod calls;
mod closed;
mod order;

use std::cell::Cell;
use std::collections::HashSet;
use std::rc::Rc;
use std::task::Poll;
use std::thread;

use sideloop::{
    Builder, CancelRequest, Executor, JoinError, Shutdown, current, current_task, spawn_local,
    yield_now,
};

use crate::support::*;

/// P2: a thousand spawns return, ids and all, while the loop thread is stuck.
#[test]
fn a_spawn_does_not_wait_for_the_loop() {
    limited(|| {
        let looped = loop_started();
        let hold = hold(looped.handle());
        let handles: Vec<_> = (0..1000).map(|n| looped.handle().spawn(async move { n })).collect();
        let ids: HashSet<_> = handles.iter().map(|handle| handle.id()).collect();
        assert_eq!(ids.len(), 1000, "ids repeat");
        assert!(handles.iter().all(|handle| !handle.is_finished()));
        hold.release();
        for (n, handle) in handles.into_iter().enumerate() {
            assert_eq!(join_ok(handle), n);
        }
    });
}

/// P2: the id that the spawner sees is the id that the task sees, for every way to spawn.
#[test]
fn the_task_has_the_id_that_its_handle_has() {
    limited(|| {
        let looped = loop_started();
        let handle = looped.handle();
        let me = || current_task().expect("in a task");
        let spawned = [
            handle.spawn(async move { me() }),
            handle.spawn_with(move || async move { me() }),
            handle.spawn_with(move || std::future::ready(me())),
            handle.try_spawn(async move { me() }).expect("the loop is open"),
            handle.call(me),
            handle.task().name("named").spawn(async move { me() }),
            handle.task().spawn_with(move || async move { me() }),
        ];
        for task in spawned {
            let id = task.id();
            assert_eq!(task.canceller().id(), id);
            assert_eq!(join_ok(task), id);
        }
        let local = handle.call(move || {
            let task = spawn_local(async move { me() });
            (task.id(), task)
        });
        let (id, task) = join_ok(local);
        assert_eq!(join_ok(task), id);
    });
}

/// P2: no two tasks share an id, on whichever loop or executor, from whichever thread.
#[test]
fn ids_are_unique_in_the_process() {
    limited(|| {
        let (one, two, executor) = (loop_started(), loop_started(), Executor::new());
        let handles = [one.handle().clone(), two.handle().clone(), executor.handle().clone()];
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let handles = handles.clone();
                thread::spawn(move || {
                    let spawned = (0..3000).map(|n| handles[n % 3].spawn(async {}).id());
                    spawned.collect::<Vec<_>>()
                })
            })
            .collect();
        let local = |_| spawn_local(async {}).id();
        let mut ids = join_ok(one.handle().call(move || (0..3000).map(local).collect::<Vec<_>>()));
        ids.extend((0..3000).map(|_| executor.spawn_local(async {}).id()));
        threads.into_iter().for_each(|thread| ids.extend(thread.join().expect("spawns")));
        let count = ids.len();
        assert_eq!(count, 18_000);
        let numbers: HashSet<_> = ids.iter().map(|id| id.as_u64()).collect();
        assert_eq!(numbers.len(), count, "ids repeat");
    });
}

/// P3: on the loop thread no spawn and no call runs anything inside the call.
#[test]
fn a_spawn_on_the_loop_thread_never_polls_inside_the_call() {
    limited(|| {
        let looped = loop_started();
        let started = Events::new();
        let inside = started.clone();
        let spawned = looped.handle().call(move || {
            let at = |name| {
                let started = inside.clone();
                move || started.push(name)
            };
            let (local, remote, with) = (at("local"), at("spawn"), at("with"));
            spawn_local(async move { local() }).detach();
            current().spawn(async move { remote() }).detach();
            current()
                .spawn_with(move || {
                    with();
                    async {}
                })
                .detach();
            current().call(at("call")).detach();
            current().task().name("n").spawn_local(std::future::ready(())).detach();
            inside.all().len()
        });
        assert_eq!(join_ok(spawned), 0, "something ran inside the spawning call");
        join_ok(looped.handle().call(|| ()));
        assert_eq!(started.all(), ["local", "spawn", "with", "call"]);
    });
}

/// P3: the first poll is in a later turn than the spawn.
#[test]
fn a_task_spawned_in_a_turn_is_polled_in_a_later_turn() {
    limited(|| {
        let mut executor = Executor::new();
        let (child, log) = Probe::ready_at(1, ());
        executor.spawn_local(async move { spawn_local(child).detach() }).detach();
        assert_eq!(executor.turn().polls, 1);
        assert_eq!(log.polls(), 0, "polled in the turn that spawned it");
        assert_eq!(executor.turn().polls, 1);
        assert_eq!(log.polls(), 1);
    });
}

/// P3: a spawn on the loop thread during its run wakes nobody.
#[test]
fn a_spawn_inside_a_run_wakes_nobody() {
    limited(|| {
        let wakes = Events::new();
        let seen = wakes.clone();
        let mut executor = Builder::new().on_wake(move || seen.push(())).build();
        executor.block_on(async {
            for _ in 0..100 {
                spawn_local(async {}).await.expect("runs");
                current().call(|| ()).await.expect("runs");
            }
        });
        assert_eq!(wakes.all().len(), 0);
    });
}

/// P5: the closure runs, the future is polled and both are dropped on the loop thread; the future
/// need not be `Send`.
#[test]
fn spawn_with_stays_on_the_loop_thread() {
    limited(|| {
        let looped = loop_started();
        let id = thread_of(looped.handle());
        let (gate, drops, polled) = (Gate::new(), Drops::new(), Events::new());
        let (in_closure, in_future) = (drops.token(), drops.token());
        let (passed, at) = (gate.passed(), polled.clone());
        let task = looped.handle().spawn_with(move || {
            let _in_closure = in_closure;
            at.push(thread::current().id());
            let not_send = Rc::new(Cell::new(1));
            async move {
                let _in_future = in_future;
                at.push(thread::current().id());
                passed.await;
                at.push(thread::current().id());
                not_send.set(not_send.get() + 1);
                not_send.get()
            }
        });
        drops.wait(1);
        gate.open();
        assert_eq!(join_ok(task), 2);
        assert_eq!(polled.all(), [id; 3]);
        assert_eq!(drops.threads(), [id; 2]);
    });
}

/// P5, W6, C5: a closure cancelled before it was run is never run, and dropped on the loop thread.
#[test]
fn a_cancelled_spawn_with_drops_its_closure_on_the_loop_thread() {
    limited(|| {
        let looped = loop_started();
        let id = thread_of(looped.handle());
        let (drops, ran) = (Drops::new(), Events::new());
        let (token, runs) = (drops.token(), ran.clone());
        let hold = hold(looped.handle());
        let task = looped.handle().spawn_with(move || {
            let _token = token;
            runs.push(());
            async {}
        });
        assert_eq!(task.cancel(), CancelRequest::Requested);
        hold.release();
        assert!(matches!(join_err(task), JoinError::Cancelled));
        assert_eq!(drops.threads(), [id]);
        assert!(ran.all().is_empty(), "the closure ran");
    });
}

/// P5: a panic in the closure is that task's panic.
#[test]
fn a_panic_in_the_closure_is_the_tasks_panic() {
    limited(|| {
        let looped = loop_started();
        let id = thread_of(looped.handle());
        let drops = Drops::new();
        let token = drops.token();
        let task = looped.handle().spawn_with(move || {
            let _token = token;
            if true {
                panic!("no future");
            }
            async {}
        });
        match join_err(task) {
            JoinError::Panicked(payload) => assert_eq!(payload.message(), Some("no future")),
            other => panic!("{other:?} is not Panicked"),
        }
        assert_eq!(drops.threads(), [id]);
        assert_eq!(join_ok(looped.handle().call(|| 1)), 1, "the loop goes on");
    });
}

/// P6: whatever state a task is in when the loop ends, its handle gives a typed reason.
#[test]
fn no_handle_stays_unresolved_after_the_end() {
    limited(|| {
        let looped = loop_started();
        let handle = looped.handle().clone();
        let (idle, log) = Probe::pending();
        let idle = handle.spawn(idle);
        log.wait_polls(1);
        let spinning = handle.spawn(async {
            loop {
                yield_now().await
            }
        });
        let hold = hold(&handle);
        let queued = handle.spawn(std::future::pending::<()>());
        let made = handle.spawn_with(|| std::future::poll_fn(|_| Poll::<()>::Pending));
        let waiting = handle.spawn(idle);
        let (asked, aborted) = (handle.cancel(queued.id()), handle.abort(made.id()));
        let ending = thread::spawn(move || looped.shutdown(Shutdown::now()));
        hold.release();
        ending.join().expect("shuts down");
        assert!(matches!(join_err(queued), JoinError::Cancelled | JoinError::Closed));
        assert!(matches!(join_err(made), JoinError::Cancelled | JoinError::Closed));
        assert!(matches!(join_err(spinning), JoinError::Cancelled | JoinError::Closed));
        assert!(!matches!(join_soon(waiting), Ok(Ok(()))), "the idle task has no value");
        for request in [asked, aborted] {
            let answer = join_soon(request);
            assert!(matches!(answer, Ok(_) | Err(JoinError::Closed)), "{answer:?}");
        }
        assert_eq!(log.dropped(), 1);
    });
}

/// P6: dropping an executor that never ran answers every handle and drops every future here.
#[test]
fn an_executor_dropped_unrun_answers_its_handles() {
    limited(|| {
        let executor = Executor::new();
        let (drops, handle) = (Drops::new(), executor.handle().clone());
        let mut tasks = Vec::new();
        for n in 0..1000 {
            let token = drops.token();
            tasks.push(match n % 3 {
                0 => executor.spawn_local(async move { drop(token) }),
                1 => handle.spawn(async move { drop(token) }),
                _ => handle.call(move || drop(token)),
            });
        }
        drop(executor);
        assert_eq!(drops.threads(), vec![thread::current().id(); 1000]);
        for task in tasks {
            let error = join_err(task);
            assert!(matches!(error, JoinError::Closed | JoinError::Cancelled), "{error:?}");
        }
        assert!(matches!(join_err(handle.call(|| ())), JoinError::Closed));
    });
}
