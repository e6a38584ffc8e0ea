//! What has been asked about asyncio for ten years by those who mix a loop with threads: each
//! question a test.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use sideloop::{
    CancelRequest, Handle, JoinError, LoopThread, Shutdown, block_on, current, spawn_local, time,
    yield_now,
};

use crate::support::*;

/// S1. "I start the loop in a thread and call it right away, and sometimes it is not running yet."
#[test]
fn the_first_call_right_after_the_start_runs() {
    limited(|| {
        for _ in 0..200 {
            let looped = LoopThread::start().expect("starts");
            assert_eq!(looped.handle().call(|| 1).join().expect("runs"), 1);
        }
    });
}

/// J4. "I call `run_coroutine_threadsafe(...).result()` on the loop's own thread, and it hangs."
#[test]
fn a_call_from_the_loops_own_thread_does_not_deadlock() {
    limited(|| {
        let looped = loop_started();
        let handle = looped.handle().clone();
        let own = handle.clone();
        let joined = join_ok(handle.call(move || own.call(|| 1).join()));
        assert!(matches!(joined, Err(JoinError::WouldDeadlock)), "{joined:?}");
        let own = handle.clone();
        let awaited = handle.spawn(async move { own.call(|| 1).await });
        assert_eq!(join_ok(awaited).expect("awaiting is the way"), 1);
    });
}

/// P3. "`call_soon_threadsafe` from a callback: does it run now, later, or never?"
#[test]
fn a_call_from_a_callback_runs_after_it() {
    limited(|| {
        let looped = loop_started();
        let events = Events::new();
        let (outer, inner) = (events.clone(), events.clone());
        let callback = looped.handle().call(move || {
            outer.push("begins");
            let later = current().call(move || inner.push("runs"));
            outer.push("ends");
            later
        });
        join_ok(join_ok(callback));
        assert_eq!(events.all(), ["begins", "ends", "runs"]);
    });
}

/// P7. "After `loop.stop()` my `call_soon_threadsafe` is accepted, and never runs."
#[test]
fn a_call_after_the_stop_is_answered() {
    limited(|| {
        let looped = loop_started();
        let handle = looped.handle().clone();
        looped.shutdown(Shutdown::now());
        assert!(matches!(handle.call(|| 1).join(), Err(JoinError::Closed)));
        assert!(matches!(block_on(handle.spawn(async { 1 })), Err(JoinError::Closed)));
        assert!(handle.try_spawn(async { 1 }).is_err());
    });
}

/// J3. "I cancel the task, and the file it has open is still open when `cancel` has returned and
/// the task says it is done."
#[test]
fn a_cancel_is_done_only_after_the_clean_up() {
    limited(|| {
        let looped = loop_started();
        for awaits in [false, true] {
            let open = Arc::new(AtomicBool::new(true));
            let closes = Arc::clone(&open);
            let (probe, log) = Probe::<()>::pending();
            let task = looped.handle().spawn(probe.on_drop(move || {
                (0..100).for_each(|_| thread::yield_now());
                closes.store(false, Ordering::SeqCst);
            }));
            log.wait_polls(1);
            assert_eq!(task.cancel(), CancelRequest::Requested);
            let ended = if awaits { block_on(task) } else { task.join() };
            assert!(matches!(ended, Err(JoinError::Cancelled)), "{ended:?}");
            assert!(!open.load(Ordering::SeqCst), "done before the clean-up was");
        }
    });
}

/// P6, H1. "When I stop the loop, what was queued is lost without a word."
#[test]
fn a_stop_loses_no_work() {
    limited(|| {
        for drains in [true, false] {
            let looped = loop_started();
            let hold = hold(looped.handle());
            let done = Arc::new(AtomicUsize::new(0));
            let tasks: Vec<_> = (0..1000)
                .map(|_| {
                    let done = Arc::clone(&done);
                    looped.handle().spawn(async move {
                        yield_now().await;
                        done.fetch_add(1, Ordering::SeqCst);
                    })
                })
                .collect();
            let how = if drains { Shutdown::now().drain(WAIT) } else { Shutdown::now() };
            looped.handle().shutdown(how);
            hold.release();
            let report = looped.join();
            let values = tasks.into_iter().filter_map(|task| join_soon(task).ok()).count();
            assert_eq!(done.load(Ordering::SeqCst), values);
            let listed = report.cancelled.len() + report.aborted.len();
            assert_eq!((report.finished, values + listed), (values as u64 + 1, 1000));
            assert!(!drains || listed == 0, "a drain with time enough lets everything finish");
        }
    });
}

/// C1. "`run_coroutine_threadsafe` gives me a future, not the task: I cannot cancel what runs."
#[test]
fn another_thread_gets_a_real_task_that_it_can_cancel() {
    limited(|| {
        let looped = loop_started();
        let (probe, log) = Probe::pending();
        let task = looped.handle().spawn(probe);
        log.wait_polls(1);
        let canceller = task.canceller();
        let other = thread::spawn(move || (canceller.id(), canceller.cancel()));
        assert_eq!(other.join().expect("cancels"), (task.id(), CancelRequest::Requested));
        assert!(matches!(join_err(task), JoinError::Cancelled));
        assert_eq!((log.polls(), log.dropped()), (1, 1));
    });
}

/// C6. "I only have the id from my log: how do I cancel that one?"
#[test]
fn a_task_is_cancelled_by_its_id() {
    limited(|| {
        let looped = loop_started();
        let task = looped.handle().spawn(std::future::pending::<()>());
        let id = task.id();
        let request = |id| join_ok(looped.handle().cancel(id));
        assert_eq!(request(id), CancelRequest::Requested);
        assert!(matches!(join_err(task), JoinError::Cancelled));
        assert_eq!(request(id), CancelRequest::NotFound);
    });
}

/// T3. "My cancel takes half a second because 100 000 callbacks are queued before it."
#[test]
fn a_cancel_is_not_stuck_behind_the_queue() {
    limited_to(2 * BODY, || {
        let looped = loop_started();
        let ran = Arc::new(AtomicUsize::new(0));
        let at_drop = Arc::new(AtomicUsize::new(usize::MAX));
        let (counted, kept) = (Arc::clone(&ran), Arc::clone(&at_drop));
        let victim = Drops::new().token_then(move || {
            kept.store(counted.load(Ordering::SeqCst), Ordering::SeqCst);
        });
        let (tell, told) = mpsc::channel();
        let task = looped.handle().spawn(async move {
            let _victim = victim;
            tell.send(()).expect("the test waits");
            std::future::pending::<()>().await;
        });
        told.recv_timeout(WAIT).expect("it waits");
        let hold = hold(looped.handle());
        for _ in 0..100_000 {
            let ran = Arc::clone(&ran);
            looped.handle().call(move || ran.fetch_add(1, Ordering::SeqCst)).detach();
        }
        let (probe, log) = Probe::pending();
        let last = looped.handle().spawn(probe);
        task.cancel();
        last.cancel();
        hold.release();
        join_err(task);
        assert!(at_drop.load(Ordering::SeqCst) <= 64, "{at_drop:?} callbacks went before");
        // What is in the queue itself is ended when it is taken in.
        join_err(last);
        assert_eq!(log.polls(), 0);
    });
}

/// T5. "May I use locks, condition variables and queues of the standard library on the loop?"
#[test]
fn primitives_of_the_standard_library_work_on_the_loop() {
    limited(|| {
        let looped = loop_started();
        let shared = Arc::new((Mutex::new(0), Condvar::new()));
        let (send, receive) = mpsc::channel();
        let counts = Arc::clone(&shared);
        let waits = looped.handle().call(move || {
            let first: u32 = receive.recv_timeout(WAIT).expect("sent");
            let value = counts.0.lock().expect("lock");
            let value = counts.1.wait_timeout_while(value, WAIT, |value| *value < 3);
            *value.expect("lock").0 + first
        });
        send.send(100).expect("the callback listens");
        for _ in 0..3 {
            *shared.0.lock().expect("lock") += 1;
            shared.1.notify_all();
        }
        assert_eq!(join_ok(waits), 103);
        let barrier = Arc::new(std::sync::Barrier::new(2));
        let (there, once) = (Arc::clone(&barrier), Arc::new(std::sync::Once::new()));
        let meets = looped.handle().call(move || {
            once.call_once(|| ());
            there.wait().is_leader()
        });
        let leads = barrier.wait().is_leader();
        assert_ne!(join_ok(meets), leads);
        let scoped = looped.handle().call(|| {
            let mut parts = [1, 2, 3];
            thread::scope(|scope| parts.each_mut().map(|part| drop(scope.spawn(|| *part *= 2))));
            parts
        });
        assert_eq!(join_ok(scoped), [2, 4, 6]);
    });
}

/// T5. "Some library parks the loop's thread, or unparks it, and then nothing moves any more."
#[test]
fn user_code_may_park_and_unpark_the_loop_thread() {
    limited(|| {
        let looped = loop_started();
        let gate = Gate::new();
        let waiting = looped.handle().spawn(gate.passed());
        for _ in 0..200 {
            let thread = join_ok(looped.handle().call(|| {
                thread::current().unpark();
                thread::park();
                thread::park_timeout(Duration::from_nanos(1));
                thread::current()
            }));
            thread.unpark();
            join_ok(looped.handle().call(|| ()));
            thread.unpark();
        }
        gate.open();
        join_ok(waiting);
        join_ok(looped.handle().spawn(time::sleep(Duration::from_millis(1))));
    });
}

/// One step of a conversation: the other loop is told the next number, and so on until zero.
async fn talk(here: Handle, there: Handle, n: u32) -> u32 {
    assert!(here.is_current() && !there.is_current());
    if n == 0 {
        return 0;
    }
    let next = there.spawn_with({
        let (here, there) = (here.clone(), there.clone());
        move || -> std::pin::Pin<Box<dyn Future<Output = u32>>> {
            Box::pin(talk(there, here, n - 1))
        }
    });
    next.await.expect("the other loop answers") + 1
}

/// P1, J1. "Two loops in two threads that await each other's tasks."
#[test]
fn two_loops_talk_to_each_other() {
    limited(|| {
        let (one, two) = (loop_started(), loop_started());
        let (here, there) = (one.handle().clone(), two.handle().clone());
        let deep = here.spawn(talk(here.clone(), there.clone(), 500));
        assert_eq!(join_ok(deep), 500);
        let back_and_forth = here.clone().spawn(async move {
            let mut n = 0;
            while n < 2000 {
                n = there.call(move || n + 1).await.expect("there");
                n = here.call(move || n + 1).await.expect("here");
            }
            n
        });
        assert_eq!(join_ok(back_and_forth), 2000);
    });
}

/// P1, J4. "And what if each blocks on the other?" Then they would wait for ever, unless one of
/// them gives up in time, or the third thread ends it.
#[test]
fn two_loops_that_block_on_each_other_can_be_freed() {
    limited(|| {
        let (one, two) = (loop_started(), loop_started());
        let (here, there) = (one.handle().clone(), two.handle().clone());
        let joined = here.call(move || {
            let blocked = there.call(move || {
                let back = current();
                assert!(back.is_current());
                7
            });
            blocked.join_timeout(WAIT).expect("the other loop is free").expect("a value")
        });
        assert_eq!(join_ok(joined), 7);
        let (here, there) = (one.handle().clone(), two.handle().clone());
        let tried = here.clone().call(move || {
            let back = here;
            let nested = there.call(move || back.call(|| 1).join_timeout(Duration::from_millis(5)));
            nested.join_timeout(WAIT).expect("its limit is over").expect("a value").is_err()
        });
        assert!(join_ok(tried), "the first loop was blocked: there was no value to be had");
    });
}

/// J2. "The main thread should wait for the task, but also look at the clock now and then."
#[test]
fn the_main_thread_joins_in_slices() {
    limited(|| {
        let looped = loop_started();
        let gate = Gate::new();
        let passed = gate.passed();
        let mut task = looped.handle().spawn(async move {
            passed.await;
            "done"
        });
        let mut slices = 0;
        let value = loop {
            match task.join_timeout(Duration::from_millis(1)) {
                Ok(ended) => break ended.expect("a value"),
                Err(running) => task = running,
            }
            slices += 1;
            if slices == 10 {
                gate.open();
            }
        };
        assert!(value == "done" && slices >= 10);
    });
}

/// X1, X2. "An exception in a task is printed at some time, or never, and the loop goes on half
/// dead."
#[test]
fn a_panic_reaches_the_one_who_joins_and_nobody_else() {
    limited(|| {
        let looped = loop_started();
        let gate = Gate::new();
        let other = looped.handle().spawn(gate.passed());
        let panicked = looped.handle().spawn(async {
            spawn_local(async { panic!("inner") }).await.unwrap_or_else(|error| panic!("{error}"))
        });
        let JoinError::Panicked(payload) = join_err::<()>(panicked) else { panic!("no panic") };
        assert!(payload.message().is_some_and(|text| text.contains("inner")), "{payload:?}");
        gate.open();
        join_ok(other);
    });
}

/// H3, H5. "Ctrl-C: some other thread ends the loop while I wait for a task."
#[test]
fn a_join_returns_when_somebody_ends_the_loop() {
    limited(|| {
        let looped = loop_started();
        let handle = looped.handle().clone();
        let task = handle.spawn(std::future::pending::<()>());
        let joins = thread::spawn(move || task.join());
        join_ok(handle.call(|| ()));
        handle.shutdown(Shutdown::now());
        let ended = joins.join().expect("returns");
        assert!(matches!(ended, Err(JoinError::Cancelled | JoinError::Closed)), "{ended:?}");
        looped.join();
    });
}
