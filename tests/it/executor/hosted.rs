//! G2: `on_wake`, as a host loop needs it: once for each change from idle to ready.

use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use sideloop::{Builder, CancelRequest, Executor, Handle, Shutdown, time, yield_now};

use crate::support::*;

/// An executor and the threads that its `on_wake` was called on.
fn hosted() -> (Executor, Events<ThreadId>) {
    let wakes = Events::new();
    let seen = wakes.clone();
    let executor = Builder::new().on_wake(move || seen.push(thread::current().id())).build();
    (executor, wakes)
}

/// Runs `f` on a thread of its own; the thread's id.
fn elsewhere(f: impl FnOnce() + Send + 'static) -> ThreadId {
    let thread = thread::spawn(f);
    let id = thread.thread().id();
    thread.join().expect("ends");
    id
}

/// G2: a spawn on the executor's own thread, outside its run, is a change too; a second is none.
#[test]
fn a_spawn_on_the_own_thread_calls_on_wake_once() {
    limited(|| {
        let here = thread::current().id();
        let (mut executor, wakes) = hosted();
        assert_eq!(wakes.all(), []);
        executor.spawn_local(async {}).detach();
        assert_eq!(wakes.all(), [here]);
        executor.spawn_local(async {}).detach();
        executor.handle().spawn(async {}).detach();
        executor.handle().call(|| ()).detach();
        assert_eq!(wakes.all(), [here], "it was ready already");
        executor.run_until_idle();
        executor.handle().call(|| ()).detach();
        assert_eq!(wakes.all(), [here; 2]);
        executor.spawn_local(async {}).detach();
        assert_eq!(wakes.all(), [here; 2], "it was ready already");
        executor.run_until_idle();
        assert_eq!(wakes.all(), [here; 2]);
    });
}

/// G2: on the thread that caused the change, for a spawn, a call, a wake, a cancel and a shutdown.
#[test]
fn on_wake_is_called_on_the_thread_that_caused_it() {
    limited(|| {
        let (mut executor, wakes) = hosted();
        let handle = executor.handle().clone();
        let [(one, log), (two, _), (three, _)] = [(); 3].map(|()| Probe::pending());
        executor.spawn_local(one).detach();
        let (cancelled, aborted) = (executor.spawn_local(two), executor.spawn_local(three));
        executor.run_until_idle();
        let mut expected = wakes.all();
        let mut check = |name: &str, cause: Box<dyn FnOnce(&Handle) + Send>| {
            let handle = handle.clone();
            expected.push(elsewhere(move || cause(&handle)));
            assert_eq!(wakes.all(), expected, "{name}");
            executor.run_until_idle();
            assert!(executor.turn().idle);
            assert_eq!(wakes.all(), expected, "{name}: a run is no wake");
        };
        check("spawn", Box::new(|handle| handle.spawn(async {}).detach()));
        check("call", Box::new(|handle| handle.call(|| ()).detach()));
        check("wake", Box::new(move |_| assert!(log.wake())));
        let request = move |_: &Handle| assert_eq!(cancelled.cancel(), CancelRequest::Requested);
        check("cancel", Box::new(request));
        let id = aborted.id();
        check("abort by id", Box::new(move |handle| drop(handle.abort(id))));
        check("shutdown", Box::new(|handle| handle.shutdown(Shutdown::now())));
    });
}

/// G2: a hundred causes before the next turn are one change.
#[test]
fn causes_before_the_next_turn_are_one_change() {
    limited(|| {
        let (mut executor, wakes) = hosted();
        for round in 1..=20 {
            let handle = executor.handle().clone();
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let handle = handle.clone();
                    thread::spawn(move || (0..25).for_each(|_| handle.call(|| ()).detach()))
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().expect("calls"));
            assert_eq!(wakes.all().len(), round);
            assert_eq!(executor.run_until_idle(), 100);
        }
    });
}

/// G2: between the turns of a busy executor nothing changes from idle to ready.
#[test]
fn a_busy_executor_is_not_woken() {
    limited(|| {
        let (mut executor, wakes) = hosted();
        executor
            .spawn_local(async {
                loop {
                    yield_now().await
                }
            })
            .detach();
        assert_eq!(wakes.all().len(), 1);
        for _ in 0..100 {
            assert!(!executor.turn().idle);
            let handle = executor.handle().clone();
            elsewhere(move || handle.call(|| ()).detach());
        }
        assert_eq!(wakes.all().len(), 1);
    });
}

/// G2: who only looks, on the executor's own thread, calls nobody; an earlier deadline is told.
#[test]
fn a_mere_look_calls_nobody() {
    limited(|| {
        let (mut executor, wakes) = hosted();
        let handle = executor.handle().clone();
        let guarded = executor.spawn_local(async {
            let _guard = sideloop::CancelGuard::new();
            std::future::pending::<()>().await;
        });
        while !executor.turn().idle {}
        let before = wakes.all().len();
        assert_eq!(handle.tasks().join().expect("here").len(), 1);
        let unknown = handle.call(|| ()).id();
        while !executor.turn().idle {}
        let looked = wakes.all().len();
        assert!(looked > before, "a call is something to do");
        let _ = (handle.metrics(), handle.cancel(unknown).join(), handle.tasks().join());
        let stop = guarded.canceller();
        assert_eq!(wakes.all().len(), looked);
        assert_eq!(stop.cancel_within(Duration::from_secs(3600)), CancelRequest::Requested);
        assert_eq!(wakes.all().len(), looked + 1, "a task is to be told");
        while !executor.turn().idle {}
        stop.cancel_within(Duration::from_secs(7200));
        assert_eq!(wakes.all().len(), looked + 1, "the sooner limit counts");
        stop.cancel_within(Duration::from_secs(60));
        assert_eq!(wakes.all().len(), looked + 2, "a deadline is sooner");
        while !executor.turn().idle {}
        handle.call_after(Duration::from_secs(7200), || ()).detach();
        assert_eq!(wakes.all().len(), looked + 2, "later than another");
        handle.call_after(Duration::from_secs(1), || ()).detach();
        assert_eq!(wakes.all().len(), looked + 3, "the first of all");
        guarded.abort();
    });
}

/// G2: a wake of a task that has ended, and a timer that was armed, change nothing.
#[test]
fn what_makes_nothing_ready_calls_nobody() {
    limited(|| {
        let (mut executor, wakes) = hosted();
        let (probe, log) = Probe::ready_at(1, ());
        executor.spawn_local(probe).detach();
        executor.spawn_local(time::sleep(Duration::from_secs(3600))).detach();
        executor.run_until_idle();
        let before = wakes.all().len();
        elsewhere(move || assert!(log.wake()));
        executor.run_until_idle();
        assert_eq!(wakes.all().len(), before);
    });
}

/// G2, P1: the hook may use the executor's own handle.
#[test]
fn on_wake_may_spawn() {
    limited(|| {
        let place = Arc::new(Mutex::new(None::<Handle>));
        let calls = Events::new();
        let (there, called) = (Arc::clone(&place), calls.clone());
        let on_wake = move || {
            called.push(());
            let handle = there.lock().expect("place").clone();
            handle.expect("set at once").call(|| ()).detach();
        };
        let mut executor = Builder::new().on_wake(on_wake).build();
        *place.lock().expect("place") = Some(executor.handle().clone());
        let handle = executor.handle().clone();
        elsewhere(move || handle.call(|| ()).detach());
        assert_eq!(executor.run_until_idle(), 2);
        executor.spawn_local(async {}).detach();
        assert_eq!(executor.run_until_idle(), 2);
        assert_eq!(calls.all().len(), 2);
        place.lock().expect("place").take(); // the hook would keep its own loop alive
    });
}

/// G2, W2: a host loop that sleeps until `on_wake` loses no wake-up.
#[test]
fn a_host_loop_loses_no_wake_up() {
    limited_to(2 * BODY, || {
        let signal = Arc::new((Mutex::new(false), Condvar::new()));
        let wakes = Arc::clone(&signal);
        let on_wake = move || {
            *wakes.0.lock().expect("signal") = true;
            wakes.1.notify_one();
        };
        let (send, receive) = std::sync::mpsc::channel::<Handle>();
        let host = thread::spawn(move || {
            let mut executor = Builder::new().on_wake(on_wake).build();
            send.send(executor.handle().clone()).expect("the test waits");
            loop {
                while !executor.turn().idle {}
                if executor.handle().is_closed() {
                    return;
                }
                let ready = signal.0.lock().expect("signal");
                let wait = signal.1.wait_timeout_while(ready, WAIT, |ready| !*ready);
                let (mut ready, waited) = wait.expect("signal");
                assert!(!waited.timed_out(), "nobody called on_wake");
                *ready = false;
            }
        });
        let handle = receive.recv().expect("the host runs");
        for n in 0..10_000 {
            assert_eq!(join_ok(handle.call(move || n)), n);
        }
        handle.shutdown(Shutdown::now());
        host.join().expect("ends");
    });
}
