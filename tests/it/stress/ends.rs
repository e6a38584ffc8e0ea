//! W6, H4: futures and closures are dropped on the loop thread, whichever way they end.

use std::thread::ThreadId;

use sideloop::{JoinHandle, LoopThread, Shutdown};

use crate::support::*;

/// How many tasks of each kind go each way.
const MANY: usize = 50;

/// What lives on the loop, with tokens in futures, locals, closures and outputs.
struct Population {
    looped: LoopThread,
    id: ThreadId,
    drops: Drops,
    gate: Gate,
    tasks: Vec<JoinHandle<()>>,
}

impl Population {
    /// Tasks of each kind, started if `start`, else stuck behind the returned hold.
    fn new(start: bool) -> (Population, Option<Hold>) {
        let looped = loop_started();
        let (handle, id) = (looped.handle().clone(), thread_of(looped.handle()));
        let (drops, gate) = (Drops::new(), Gate::new());
        let held = (!start).then(|| hold(&handle));
        let mut tasks = Vec::new();
        for _ in 0..MANY {
            let (captured, local, made) = (drops.token(), drops.token(), drops.token());
            let (first, second, third) = (gate.passed(), gate.passed(), gate.passed());
            tasks.push(handle.spawn(async move {
                let _tokens = (captured, local);
                first.await;
            }));
            tasks.push(handle.spawn_with(move || async move {
                let _made = made;
                second.await;
            }));
            let named = drops.token();
            tasks.push(handle.task().name("named").spawn(async move {
                third.await;
                drop(named);
            }));
            if !start {
                let callback = drops.token();
                tasks.push(handle.call(move || drop(callback)));
            }
        }
        if start {
            join_ok(handle.call(|| ()));
            assert_eq!(drops.count(), 0);
        }
        (Population { looped, id, drops, gate, tasks }, held)
    }

    /// Everything was dropped, once, on the loop thread; also what was spawned by the test alone.
    #[track_caller]
    fn check(drops: &Drops, id: ThreadId) {
        drops.wait(drops.made());
        assert_eq!(drops.threads(), vec![id; drops.made()]);
    }
}

/// W6: by completion.
#[test]
fn completed_tasks_are_dropped_on_the_loop_thread() {
    limited(|| {
        for start in [true, false] {
            let (population, held) = Population::new(start);
            drop(held);
            population.gate.open();
            population.tasks.into_iter().for_each(join_ok);
            Population::check(&population.drops, population.id);
        }
    });
}

/// W6: by a cancel, with and without handles.
#[test]
fn cancelled_tasks_are_dropped_on_the_loop_thread() {
    limited(|| {
        for start in [true, false] {
            let (population, held) = Population::new(start);
            for (n, task) in population.tasks.into_iter().enumerate() {
                match n % 4 {
                    0 => assert!(task.cancel() == sideloop::CancelRequest::Requested),
                    1 => assert!(task.canceller().abort() == sideloop::CancelRequest::Requested),
                    2 => population.looped.handle().abort(task.id()).detach(),
                    _ => drop(task.cancel_on_drop()),
                }
            }
            drop(held);
            Population::check(&population.drops, population.id);
        }
    });
}

/// W6, X1: by a panic, of the future and of the closure.
#[test]
fn panicked_tasks_are_dropped_on_the_loop_thread() {
    limited(|| {
        let looped = loop_started();
        let (id, drops) = (thread_of(looped.handle()), Drops::new());
        for _ in 0..MANY {
            let (first, second, third) = (drops.token(), drops.token(), drops.token());
            let polled = looped.handle().spawn(async move {
                let _first = first;
                sideloop::yield_now().await;
                panic!("on purpose");
            });
            join_err::<()>(polled);
            join_err::<()>(looped.handle().call(move || {
                let _second = second;
                panic!("on purpose");
            }));
            join_err::<()>(looped.handle().spawn_with(move || {
                let _third = third;
                assert!(false_for_sure(), "on purpose");
                std::future::ready(())
            }));
        }
        Population::check(&drops, id);
    });
}

/// False, but the compiler does not know.
fn false_for_sure() -> bool {
    std::hint::black_box(false)
}

/// W6, H4: by every kind of shutdown, tasks started or not.
#[test]
fn tasks_alive_at_the_shutdown_are_dropped_on_the_loop_thread() {
    limited(|| {
        let ms = std::time::Duration::from_millis(1);
        let hows = [Shutdown::now(), Shutdown::graceful(ms), Shutdown::now().drain(ms)];
        for how in hows {
            for start in [true, false] {
                let (population, held) = Population::new(start);
                population.looped.handle().shutdown(how.clone());
                drop(held);
                population.looped.join();
                Population::check(&population.drops, population.id);
                for task in population.tasks {
                    assert!(task.is_finished());
                }
            }
        }
    });
}

/// W6, H4: by the drop of the `LoopThread`, handles first or handles last.
#[test]
fn tasks_alive_at_the_drop_are_dropped_on_the_loop_thread() {
    limited(|| {
        for (start, handles_first) in [(true, true), (true, false), (false, true), (false, false)] {
            let (population, held) = Population::new(start);
            let Population { looped, id, drops, tasks, .. } = population;
            let tasks = (!handles_first).then_some(tasks);
            drop(held);
            drop(looped);
            Population::check(&drops, id);
            drop(tasks);
        }
    });
}
