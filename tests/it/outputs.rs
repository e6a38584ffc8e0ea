//! Outputs that nobody takes: where they are dropped, one by one, and which task is the current one then.

use std::any::Any;
use std::sync::{Arc, Mutex};
use std::thread;

use sideloop::{
    CancelGuard, Executor, Handle, JoinHandle, LoopThread, Shutdown, TaskId, current, current_task,
    spawn_local,
};

use crate::support::{Events, OnDrop, join_ok, limited, loop_started};

/// As deep as no stack is.
const DEEP: usize = 100_000;

type Link = JoinHandle<Box<dyn Any + Send>>;

/// The handle of the last of many finished tasks, each of whose outputs owns the handle of the one before.
fn chain(handle: &Handle, length: usize) -> Link {
    let mut last: Link = handle.spawn(async { Box::new(()) as _ });
    for _ in 0..length {
        let before = last;
        last = handle.spawn(async move { Box::new(before) as Box<dyn Any + Send> });
    }
    join_ok(handle.call(|| ())); // all of them have ended
    last
}

/// J5: on the loop's own thread, whatever of it is left when the loop ends.
#[test]
fn j5_a_chain_of_outputs_that_is_dropped_on_the_loop_takes_no_stack() {
    limited(|| {
        let side = loop_started();
        let last = chain(side.handle(), DEEP);
        join_ok(side.handle().call(move || drop(last)));
        side.shutdown(Shutdown::now());
    });
}

/// J5: on another thread, and the loop ends meanwhile.
#[test]
fn j5_a_chain_of_outputs_that_is_dropped_elsewhere_takes_no_stack() {
    limited(|| {
        let side = loop_started();
        let last = chain(side.handle(), DEEP);
        thread::spawn(move || drop(last)).join().expect("dropped");
        drop(side);
    });
}

/// J5: after the loop's end, on the dropping thread.
#[test]
fn j5_a_chain_of_outputs_that_is_dropped_after_the_end_takes_no_stack() {
    limited(|| {
        let side = loop_started();
        let last = chain(side.handle(), DEEP);
        drop(side);
        drop(last);
    });
}

/// J5: by a value that was joined, and one that panics on the way.
#[test]
fn j5_a_chain_of_outputs_goes_on_behind_a_panic() {
    limited(|| {
        let side = loop_started();
        let drops = Events::new();
        let mut last: Link = side.handle().spawn(async { Box::new(()) as _ });
        for at in 0..1_000_u32 {
            let (before, drops) = (last, drops.clone());
            last = side.handle().spawn(async move {
                let gone = OnDrop(Some(move || {
                    drop(before);
                    drops.push(at);
                    assert!(at % 10 != 0, "an output panics");
                }));
                Box::new(gone) as Box<dyn Any + Send>
            });
        }
        let value = join_ok(last);
        drop(side);
        drop(value);
        let rest = (0..999).rev().chain([999]); // what owns the handle goes on when theirs have gone
        assert_eq!(drops.all(), rest.collect::<Vec<_>>());
    });
}

/// J5: those of one output in the order in which their handles go, and none inside of another.
#[test]
fn j5_outputs_of_outputs_are_dropped_after_each_other_in_order() {
    let events = Events::new();
    let mut executor = Executor::new();
    let leaf = |name: &'static str| {
        let events = events.clone();
        executor.spawn_local(async move { OnDrop(Some(move || events.push(name))) })
    };
    let (a, b) = (leaf("a"), leaf("b"));
    let log = events.clone();
    let both = executor.spawn_local(async move {
        OnDrop(Some(move || {
            drop((a, b));
            log.push("both");
        }))
    });
    executor.run_until_idle();
    drop(executor);
    drop(both);
    assert_eq!(events.all(), ["both", "a", "b"]);
}

type Seen = Events<(&'static str, Option<TaskId>)>;

/// Says which task is the current one when it is dropped.
struct Witness(Seen, &'static str);

impl Drop for Witness {
    fn drop(&mut self) {
        self.0.push((self.1, current_task()));
    }
}

/// The settled point on `current_task` (P5, J5): in the destructor of a future or output it is the task
/// whose it is, and then again what it was before.
#[test]
fn p5_the_current_task_in_a_destructor_is_the_one_whose_future_or_output_goes() {
    limited(|| {
        let (side, seen) = (loop_started(), Seen::new());
        let (state, output) = (Witness(seen.clone(), "state"), Witness(seen.clone(), "output"));
        let detached = side.handle().spawn(async move {
            let _state = state;
            output
        });
        let first = detached.id();
        detached.detach();
        join_ok(side.handle().call(|| ()));
        let output = Witness(seen.clone(), "late");
        let late = side.handle().spawn(async move { output });
        join_ok(side.handle().call(|| ()));
        let (second, log) = (late.id(), seen.clone());
        let outer = side.handle().spawn(async move {
            drop(late); // it is brought home, later
            log.push(("before", current_task()));
            while log.all().len() < 4 {
                sideloop::yield_now().await;
            }
            log.push(("after", current_task()));
        });
        let third = outer.id();
        join_ok(outer);
        let own = |what, id| (what, Some(id));
        assert_eq!(
            seen.all(),
            [
                own("state", first),
                own("output", first),
                own("before", third),
                own("late", second),
                own("after", third)
            ]
        );
    });
}

/// The same at the loop's end, where a task's destructor drops another's output in place; and off the
/// loop's thread, where there is none.
#[test]
fn p5_the_current_task_is_again_the_one_before_when_an_output_has_gone() {
    limited(|| {
        let (side, seen) = (loop_started(), Seen::new());
        let spawn = |name| {
            let output = Witness(seen.clone(), name);
            side.handle().spawn(async move { output })
        };
        let (held, orphan) = (spawn("held"), spawn("orphan"));
        let (id, log) = (held.id(), seen.clone());
        let holder = side.handle().spawn(async move {
            let _at_the_end = OnDrop(Some(move || {
                let before = current_task();
                drop(held);
                log.push(("holder", current_task().filter(|_| current_task() == before)));
            }));
            std::future::pending::<()>().await;
        });
        let holders = holder.id();
        join_ok(side.handle().call(|| ()));
        side.shutdown(Shutdown::now());
        drop(orphan);
        let all = seen.all();
        assert_eq!(all.len(), 3, "{all:?}");
        assert!(all.contains(&("held", Some(id))), "{all:?}");
        assert!(all.contains(&("holder", Some(holders))), "{all:?}");
        assert_eq!(all[2], ("orphan", None));
    });
}

/// C2, M6: a guard that an output's destructor makes guards nothing, and its task's id is asked in vain.
#[test]
fn c2_a_guard_made_by_an_output_guards_nobody() {
    limited(|| {
        let side: LoopThread = loop_started();
        let heard = Arc::new(Mutex::new(None));
        let told = heard.clone();
        let task = side.handle().spawn(async move {
            OnDrop(Some(move || {
                let guard = CancelGuard::new();
                let waiting = spawn_local(async move { guard.requested().await });
                *told.lock().unwrap() = Some((current_task(), waiting.id(), current().is_closed()));
            }))
        });
        let id = task.id();
        while !task.is_finished() {
            thread::yield_now();
        }
        drop(task);
        let live = join_ok(side.handle().tasks()).len();
        join_ok(side.handle().call(|| ()));
        assert!(live <= 1);
        let heard = heard.lock().unwrap().take();
        assert!(matches!(heard, Some((Some(seen), _, false)) if seen == id), "{heard:?}");
        let report = side.shutdown(Shutdown::now());
        assert!(report.aborted.is_empty(), "who waits for a request of it need not");
    });
}
