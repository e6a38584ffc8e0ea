//! P4: things start in the order in which their thread issued them.

use std::sync::{Arc, Barrier};
use std::thread;

use sideloop::{Executor, current, spawn_local};

use crate::support::*;

/// P4: spawns and calls of one thread start in the order they were issued, however they are mixed.
#[test]
fn one_thread_is_served_in_order() {
    limited(|| {
        let looped = loop_started();
        let handle = looped.handle();
        let started = Events::new();
        for n in 0..10_000 {
            let at = started.clone();
            match n % 5 {
                0 => handle.spawn(async move { at.push(n) }).detach(),
                1 => handle.call(move || at.push(n)).detach(),
                2 => handle
                    .spawn_with(move || {
                        at.push(n);
                        async {}
                    })
                    .detach(),
                3 => handle.task().name("t").spawn(async move { at.push(n) }).detach(),
                _ => handle.try_spawn(async move { at.push(n) }).expect("open").detach(),
            }
        }
        join_ok(handle.call(|| ()));
        assert!(started.all().into_iter().eq(0..10_000), "out of order");
    });
}

/// P4: the same for a backlog that builds up while the loop is stuck.
#[test]
fn a_backlog_is_served_in_order() {
    limited(|| {
        let looped = loop_started();
        let started = Events::new();
        let hold = hold(looped.handle());
        for n in 0..10_000 {
            let at = started.clone();
            looped.handle().call(move || at.push(n)).detach();
        }
        hold.release();
        join_ok(looped.handle().call(|| ()));
        assert!(started.all().into_iter().eq(0..10_000), "out of order");
    });
}

/// P4: on the loop thread too, whichever way each was spawned.
#[test]
fn the_loop_thread_is_served_in_order() {
    limited(|| {
        let looped = loop_started();
        let started = Events::new();
        let inside = started.clone();
        let spawned = looped.handle().call(move || {
            for n in 0..1000 {
                let at = inside.clone();
                match n % 3 {
                    0 => spawn_local(async move { at.push(n) }).detach(),
                    1 => current().spawn(async move { at.push(n) }).detach(),
                    _ => current().call(move || at.push(n)).detach(),
                }
            }
        });
        join_ok(spawned);
        join_ok(looped.handle().call(|| ()));
        assert!(started.all().into_iter().eq(0..1000), "out of order");
    });
}

/// P4: and on an executor's own thread outside its run, where there are two ways in.
#[test]
fn an_executors_own_thread_is_served_in_order() {
    limited(|| {
        let mut executor = Executor::new();
        let started = Events::new();
        for n in 0..1000 {
            let at = started.clone();
            match n % 3 {
                0 => executor.spawn_local(async move { at.push(n) }).detach(),
                1 => executor.handle().spawn(async move { at.push(n) }).detach(),
                _ => executor.handle().call(move || at.push(n)).detach(),
            }
        }
        executor.run_until_idle();
        let started = started.all();
        assert!(started.iter().copied().eq(0..1000), "out of order: {:?}", &started[..9]);
    });
}

/// P4: of several threads each one's order is kept.
#[test]
fn each_threads_order_is_kept() {
    limited(|| {
        let looped = loop_started();
        let started = Events::new();
        let together = Arc::new(Barrier::new(4));
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let (handle, started) = (looped.handle().clone(), started.clone());
                let together = Arc::clone(&together);
                thread::spawn(move || {
                    together.wait();
                    for n in 0..5000 {
                        let at = started.clone();
                        match n % 2 {
                            0 => handle.call(move || at.push((thread, n))).detach(),
                            _ => handle.spawn(async move { at.push((thread, n)) }).detach(),
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().expect("spawns"));
        join_ok(looped.handle().call(|| ()));
        let started = started.all();
        for thread in 0..4 {
            let own = started.iter().filter(|(of, _)| *of == thread).map(|(_, n)| *n);
            assert!(own.eq(0..5000), "thread {thread} out of order");
        }
    });
}
