//! J5: outputs that nobody takes, and handles that are dropped or forgotten.

use std::thread;
use std::time::Duration;

use sideloop::{Executor, Shutdown, spawn_local};

use crate::support::*;

/// A task on the loop that ends with a token once `gate` is open.
fn giving(handle: &sideloop::Handle, gate: &Gate, drops: &Drops) -> sideloop::JoinHandle<Token> {
    let (passed, token) = (gate.passed(), drops.token());
    handle.spawn(async move {
        passed.await;
        token
    })
}

/// J5: dropping the handle detaches the task; it goes on to its end.
#[test]
fn a_dropped_handle_detaches_the_task() {
    limited(|| {
        let looped = loop_started();
        let done = Events::new();
        let gate = Gate::new();
        for n in 0..2 {
            let (passed, at) = (gate.passed(), done.clone());
            let task = looped.handle().spawn(async move {
                passed.await;
                at.push(n);
            });
            if n == 0 { drop(task) } else { task.detach() }
        }
        join_ok(looped.handle().call(|| ()));
        gate.open();
        join_ok(looped.handle().call(|| ()));
        assert_eq!(done.all(), [0, 1]);
    });
}

/// J5: the output of a task detached before its end is dropped on the loop thread.
#[test]
fn an_output_nobody_will_take_is_dropped_on_the_loop_thread() {
    limited(|| {
        let looped = loop_started();
        let id = thread_of(looped.handle());
        let (gate, drops) = (Gate::new(), Drops::new());
        drop(giving(looped.handle(), &gate, &drops));
        giving(looped.handle(), &gate, &drops).detach();
        let token = drops.token();
        looped.handle().call(move || token).detach();
        gate.open();
        drops.wait(3);
        assert_eq!(drops.threads(), [id; 3]);
    });
}

/// J5: the same for an output that lay ready when its handle was dropped, on another thread.
#[test]
fn an_output_whose_handle_is_dropped_is_dropped_on_the_loop_thread() {
    limited(|| {
        let looped = loop_started();
        let id = thread_of(looped.handle());
        let (gate, drops) = (Gate::new(), Drops::new());
        let tasks: Vec<_> = (0..10).map(|_| giving(looped.handle(), &gate, &drops)).collect();
        gate.open();
        while !tasks.iter().all(|task| task.is_finished()) {
            join_ok(looped.handle().call(|| ()));
        }
        assert_eq!(drops.count(), 0);
        thread::spawn(move || drop(tasks)).join().expect("drops");
        drops.wait(10);
        assert_eq!(drops.threads(), [id; 10]);
    });
}

/// J5: a handle dropped while its task ends: the output is dropped once, on the loop thread.
#[test]
fn a_handle_dropped_while_its_task_ends_drops_the_output_once() {
    limited(|| {
        let looped = loop_started();
        let id = thread_of(looped.handle());
        let drops = Drops::new();
        for _ in 0..2000 {
            let token = drops.token();
            drop(looped.handle().call(move || token));
        }
        for round in 0..2000 {
            let token = drops.token();
            let task = looped.handle().call(move || token);
            (0..round % 100).for_each(|_| std::hint::spin_loop());
            drop(task);
        }
        drops.wait(4000);
        assert_eq!(drops.threads(), vec![id; 4000]);
    });
}

/// J5: an output dropped after a join that did not happen any more, by a polled handle.
#[test]
fn a_polled_handle_can_be_dropped() {
    limited(|| {
        let looped = loop_started();
        let id = thread_of(looped.handle());
        let (gate, drops) = (Gate::new(), Drops::new());
        let mut task = giving(looped.handle(), &gate, &drops);
        futures::executor::block_on(async { assert!(futures::poll!(&mut task).is_pending()) });
        let task = task.join_timeout(Duration::from_millis(1)).expect_err("still running");
        drop(task);
        gate.open();
        drops.wait(1);
        assert_eq!(drops.threads(), [id]);
    });
}

/// J5: after the loop's end the output is dropped on the thread that drops the handle.
#[test]
fn after_the_end_an_output_is_dropped_where_its_handle_is() {
    limited(|| {
        let looped = loop_started();
        let (gate, drops) = (Gate::new(), Drops::new());
        gate.open();
        let tasks: Vec<_> = (0..10).map(|_| giving(looped.handle(), &gate, &drops)).collect();
        join_ok(looped.handle().call(|| ()));
        join_ok(looped.handle().call(|| ()));
        looped.shutdown(Shutdown::now());
        assert_eq!(drops.count(), 0, "a value outlives the loop");
        let here = thread::current().id();
        drop(tasks);
        assert_eq!(drops.threads(), [here; 10]);
    });
}

/// J5: a value that was joined is the joiner's, and dropped where the joiner likes.
#[test]
fn a_joined_output_belongs_to_the_joiner() {
    limited(|| {
        let looped = loop_started();
        let (gate, drops) = (Gate::new(), Drops::new());
        gate.open();
        let token = join_ok(giving(looped.handle(), &gate, &drops));
        let token = (token, join_ok(giving(looped.handle(), &gate, &drops)));
        join_ok(looped.handle().call(|| ()));
        assert_eq!(drops.count(), 0);
        drop(token);
        assert_eq!(drops.threads(), [thread::current().id(); 2]);
    });
}

/// J5: on an executor, an output given up by another thread waits for the executor's own.
#[test]
fn an_executors_output_is_dropped_on_its_own_thread() {
    limited(|| {
        let here = thread::current().id();
        for drops_executor in [false, true] {
            let drops = Drops::new();
            let mut executor = Executor::new();
            let token = drops.token();
            let task = executor.handle().spawn(async move { token });
            executor.run_until_idle();
            assert!(task.is_finished());
            thread::spawn(move || drop(task)).join().expect("drops");
            assert_eq!(drops.count(), 0, "dropped on a foreign thread");
            if drops_executor {
                drop(executor);
            } else {
                executor.run_until_idle();
            }
            assert_eq!(drops.threads(), [here]);
        }
    });
}

/// J5: the destructor of an output may use the loop, and join nothing but what has ended.
#[test]
fn the_destructor_of_an_output_may_spawn() {
    limited(|| {
        let looped = loop_started();
        let spawned = Latch::new("spawned from the destructor");
        let runs = spawned.clone();
        let token = Drops::new().token_then(move || {
            spawn_local(async move { runs.set() }).detach();
        });
        looped.handle().call(move || token).detach();
        spawned.wait();
    });
}

/// J5: forgotten handles do no harm; their tasks run, their futures are dropped.
#[test]
fn a_forgotten_handle_is_harmless() {
    limited(|| {
        let looped = loop_started();
        let id = thread_of(looped.handle());
        let (ends, ended) = Probe::ready_at(1, ());
        let (stays, stayed) = Probe::pending();
        std::mem::forget(looped.handle().spawn(ends));
        std::mem::forget(looped.handle().spawn(stays));
        std::mem::forget(looped.handle().spawn(async {}).cancel_on_drop());
        std::mem::forget(looped.handle().cancel(looped.handle().spawn(async {}).id()));
        ended.drops().wait(1);
        stayed.wait_polls(1);
        looped.shutdown(Shutdown::now());
        assert_eq!(ended.drops().threads(), [id]);
        assert_eq!(stayed.drops().threads(), [id]);
    });
}
