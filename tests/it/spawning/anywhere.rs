//! P1: every method of `Handle`, `JoinHandle` and `Canceller`, called from every kind of place.

use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use sideloop::{Builder, Handle, LoopThread, Shutdown, TaskId, try_current};

use crate::support::*;

/// Calls every method there is on a handle, and on the task handles that come of it.
fn use_everything(handle: &Handle, other: TaskId) {
    let clone = handle.clone();
    assert!(!format!("{clone:?}").is_empty());
    let _ = (handle.is_current(), handle.is_closed());
    handle.spawn(async {}).detach();
    handle.spawn_with(|| async {}).detach();
    handle.call(|| ()).detach();
    drop(handle.task().name("named").spawn(async {}));
    drop(handle.task().spawn_with(|| async {}));
    drop(handle.cancel(other));
    drop(handle.abort(other));
    let Ok(task) = handle.try_spawn(std::future::pending::<()>()) else { return };
    assert!(!format!("{task:?}").is_empty());
    let canceller = task.canceller().clone();
    assert_eq!((task.id(), task.id()), (canceller.id(), task.canceller().id()));
    let _ = (task.is_finished(), canceller.is_finished());
    let task = match task.join_timeout(Duration::ZERO) {
        Err(task) => task,
        Ok(ended) => panic!("a task that is pending for ever ended with {ended:?}"),
    };
    let guarded = task.cancel_on_drop();
    assert!(!format!("{guarded:?}").is_empty());
    let task = guarded.into_inner();
    let _ = (task.cancel(), task.cancel_within(Duration::ZERO), task.abort());
    let _ = (canceller.cancel(), canceller.cancel_within(Duration::MAX), canceller.abort());
    drop(task);
    drop(handle.spawn(std::future::pending::<()>()).cancel_on_drop());
}

/// The id of a task that has ended long ago.
fn ended(looped: &LoopThread) -> TaskId {
    let task = looped.handle().spawn(async {});
    let id = task.id();
    join_ok(task);
    id
}

/// A closure that uses everything and lets `done` happen.
fn user(looped: &LoopThread, done: &Latch) -> impl FnOnce() + Send + use<> {
    let (handle, id, done) = (looped.handle().clone(), ended(looped), done.clone());
    move || {
        use_everything(&handle, id);
        done.set();
    }
}

/// Runs what `place` makes of the closure, and checks that the loop is well afterwards.
fn check(place: impl FnOnce(&LoopThread, Box<dyn FnOnce() + Send>) + Send + 'static) {
    limited(move || {
        let (looped, done) = (loop_started(), Latch::new("everything was used"));
        place(&looped, Box::new(user(&looped, &done)));
        done.wait();
        assert_eq!(join_ok(looped.handle().call(|| 7)), 7);
        let report = looped.shutdown(Shutdown::now());
        assert!(report.panicked.is_empty(), "{report:?}");
    });
}

/// P1: from another thread.
#[test]
fn everything_works_from_another_thread() {
    check(|_, everything| everything());
}

/// P1: inside a poll, a callback, and the closure of `spawn_with`.
#[test]
fn everything_works_inside_a_poll() {
    check(|looped, everything| join_ok(looped.handle().spawn(async move { everything() })));
    check(|looped, everything| join_ok(looped.handle().call(everything)));
    check(|looped, everything| {
        let make = move || {
            everything();
            async {}
        };
        join_ok(looped.handle().spawn_with(make));
    });
}

/// P1: inside the destructor of a future that completes, is cancelled, or panics.
#[test]
fn everything_works_inside_the_destructor_of_a_future() {
    check(|looped, everything| {
        let (probe, _) = Probe::ready_at(1, ());
        join_ok(looped.handle().spawn(probe.on_drop(everything)));
    });
    check(|looped, everything| {
        let (probe, log) = Probe::pending();
        let task = looped.handle().spawn(probe.on_drop(everything));
        log.wait_polls(1);
        task.cancel();
        join_err(task);
    });
    check(|looped, everything| {
        let (probe, _) = Probe::<()>::scripted(|_, _| panic!("on purpose"));
        join_err(looped.handle().spawn(probe.on_drop(everything)));
    });
}

/// P1: inside the destructor of a closure that never ran, and of an output nobody took.
#[test]
fn everything_works_inside_the_destructor_of_a_closure_or_output() {
    check(|looped, everything| {
        let (hold, token) = (hold(looped.handle()), Drops::new().token_then(everything));
        let task = looped.handle().call(move || drop(token));
        task.cancel();
        hold.release();
        join_err(task);
    });
    check(|looped, everything| {
        let token = Drops::new().token_then(everything);
        looped.handle().call(move || token).detach();
    });
}

/// P1, H4: inside a destructor that runs because the loop ends.
#[test]
fn everything_works_inside_a_destructor_during_shutdown() {
    limited(|| {
        for started in [true, false] {
            let (looped, done) = (loop_started(), Latch::new("everything was used"));
            let (probe, log) = Probe::pending();
            let probe = probe.on_drop(user(&looped, &done));
            let held = (!started).then(|| hold(looped.handle()));
            looped.handle().spawn(probe).detach();
            match held {
                Some(held) => {
                    looped.handle().shutdown(Shutdown::now());
                    held.release();
                }
                None => log.wait_polls(1),
            }
            looped.shutdown(Shutdown::now());
            assert!(done.is_set(), "started: {started}");
        }
    });
}

/// A waker that uses everything when it is woken, or when its last clone is dropped.
struct Busy {
    when: When,
    everything: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

#[derive(PartialEq)]
enum When {
    Woken,
    Dropped,
}

impl Busy {
    fn run(&self) {
        let everything = self.everything.lock().expect("not poisoned").take();
        everything.into_iter().for_each(|everything| everything());
    }
}

impl Wake for Busy {
    fn wake(self: Arc<Self>) {
        if self.when == When::Woken {
            self.run();
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if self.when == When::Dropped {
            self.run();
        }
    }
}

/// P1: inside a foreign waker that a task's completion wakes or drops.
#[test]
fn everything_works_inside_the_waker_of_a_joiner() {
    for when in [When::Woken, When::Dropped] {
        check(|looped, everything| {
            let gate = Gate::new();
            let mut task = looped.handle().spawn(gate.passed());
            let everything = Mutex::new(Some(everything));
            let waker = Waker::from(Arc::new(Busy { when, everything }));
            let poll =
                Future::poll(std::pin::Pin::new(&mut task), &mut Context::from_waker(&waker));
            assert!(poll.is_pending());
            drop(waker);
            gate.open();
            while !task.is_finished() {
                std::thread::yield_now(); // a join would take the waker's place
            }
            join_ok(task);
        });
    }
}

/// P1: inside `on_panic`.
#[test]
fn everything_works_inside_on_panic() {
    limited(|| {
        let done = Latch::new("everything was used");
        let used = done.clone();
        let on_panic = move |panic: &sideloop::TaskPanic<'_>| {
            let handle = try_current().expect("on_panic runs on the loop thread");
            use_everything(&handle, panic.id());
            used.set();
        };
        let looped = Builder::new().on_panic(on_panic).start().expect("starts");
        looped.handle().call(|| panic!("on purpose")).detach();
        done.wait();
        assert_eq!(join_ok(looped.handle().call(|| 7)), 7);
    });
}

/// P1: inside `on_stop`, when there is no loop any more to speak of.
#[test]
fn everything_works_inside_on_stop() {
    limited(|| {
        let done = Latch::new("everything was used");
        let place = Arc::new(OnceLock::<(Handle, TaskId)>::new());
        let (used, there) = (done.clone(), Arc::clone(&place));
        let on_stop = move || {
            let (handle, id) = there.get().expect("set before the shutdown");
            use_everything(handle, *id);
            assert!(handle.is_closed());
            assert!(handle.call(|| ()).join().is_err());
            used.set();
        };
        let looped = Builder::new().on_stop(on_stop).start().expect("starts");
        assert!(place.set((looped.handle().clone(), ended(&looped))).is_ok());
        looped.shutdown(Shutdown::now());
        assert!(done.is_set());
    });
}

/// P1: inside a thread-local destructor of the loop's own thread.
#[test]
fn everything_works_inside_a_thread_local_destructor_of_the_loop_thread() {
    thread_local!(static LATE: Mutex<Option<Token>> = const { Mutex::new(None) });
    limited(|| {
        let (looped, done) = (loop_started(), Latch::new("everything was used"));
        let token = Drops::new().token_then(user(&looped, &done));
        let put =
            looped.handle().call(move || LATE.with(|late| *late.lock().unwrap() = Some(token)));
        join_ok(put);
        looped.shutdown(Shutdown::now());
        done.wait();
    });
}
