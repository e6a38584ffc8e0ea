//! User code at its worst: what it can take with it, and what it cannot.

use std::future::poll_fn;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use sideloop::{
    CancelRequest, JoinError, JoinHandle, LoopThread, Shutdown, TaskInfo, TaskState, yield_now,
};

use crate::child::{Ended, in_child};
use crate::support::{Drops, Gate, Latch, Passed, join_err, join_ok, limited, loop_started};

const SHORT: Duration = Duration::from_millis(20);

// ───────────── what ends the process ─────────────

fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    if depth == u64::MAX { 0 } else { recurse(depth + 1) + frame[7] }
}

/// H6: a task that runs out of stack ends the process, and does not run on in other memory.
#[test]
fn a_stack_overflow_ends_the_process() {
    let Some(Ended { status, output }) = in_child(|| {
        let side = LoopThread::builder().stack_size(1 << 20).start().expect("starts");
        let depth = side.handle().call(|| recurse(black_box(0))).join();
        println!("it went on with {depth:?}");
    }) else {
        return;
    };
    assert!(!status.success() && !output.contains("it went on"), "{status}\n{output}");
    // By a signal, or as a sanitizer ends it; 101 would be a panic.
    assert_ne!(status.code(), Some(101), "a panic: {output}");
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a second panic");
    }
}

/// X1: a local whose destructor panics while a panic unwinds through it aborts: so the language has it.
#[test]
fn a_panic_in_an_unwinding_frame_ends_the_process() {
    let Some(Ended { status, output }) = in_child(|| {
        let side = loop_started();
        let task = side.handle().call(|| {
            let _bomb = Bomb;
            panic!("a first panic");
        });
        println!("it went on with {:?}", task.join());
    }) else {
        return;
    };
    assert!(!status.success() && !output.contains("it went on"), "{status}\n{output}");
    assert!(output.contains("a first panic") && output.contains("a second panic"), "{output}");
}

// ───────────── what stops one loop ─────────────

/// P1, P2, J2, O1: a poll without end stops its own loop; whoever does not wait for it without a limit goes on.
#[test]
fn an_endless_poll_stops_its_own_loop_alone() {
    limited(|| {
        let (stuck, other) = (loop_started(), loop_started());
        let (told, drops) = (Latch::new("the poll has begun"), Drops::new());
        let (begun, token, free) = (told.clone(), drops.token(), Arc::new(AtomicBool::new(false)));
        let until = Arc::clone(&free);
        let endless = stuck.handle().spawn(async move {
            let _token = token;
            begun.set();
            while !until.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
            yield_now().await;
        });
        told.wait();
        let before = Instant::now();
        assert_eq!(endless.cancel(), CancelRequest::Requested);
        let unrun = stuck.handle().spawn(async {});
        let unrun = unrun.join_timeout(SHORT).expect_err("its loop is stuck");
        assert!(before.elapsed() >= SHORT && !unrun.is_finished());
        assert_eq!(stuck.handle().metrics().polls, 0, "the endless poll has not ended");
        assert_eq!(join_ok(other.handle().call(|| 7)), 7, "another loop is stuck, too");
        stuck.handle().shutdown(Shutdown::now());
        assert!(stuck.handle().spawn(async {}).join().is_err());
        free.store(true, Ordering::Relaxed);
        assert!(matches!(join_err(endless), JoinError::Cancelled), "at its next suspension");
        assert!(matches!(join_err(unrun), JoinError::Cancelled));
        assert_eq!(drops.count(), 1);
    });
}

/// Where a task finds the handle that it is to wait for.
type Place = Arc<Mutex<Option<JoinHandle<()>>>>;

/// Waits for the task whose handle is in `place` once `passed` has let it look.
async fn wait_for(place: Place, passed: Passed) {
    passed.await;
    let other = place.lock().expect("nobody panics").take();
    let _ = other.expect("it was put there").await;
}

/// C1, T4: two tasks that wait for each other wait at no cost, and a cancel of one frees the other.
#[test]
fn two_tasks_that_wait_for_each_other_can_be_freed() {
    limited(|| {
        let side = loop_started();
        let (gate, places) = (Gate::new(), [Place::default(), Place::default()]);
        let [first, second] = places
            .each_ref()
            .map(|place| side.handle().spawn(wait_for(place.clone(), gate.passed())));
        let (cancel, other) = (first.canceller(), second.canceller());
        *places[0].lock().expect("nobody panics") = Some(second);
        *places[1].lock().expect("nobody panics") = Some(first);
        gate.open();
        let taken = || places.iter().all(|place| place.lock().expect("nobody panics").is_none());
        let idle = |task: &TaskInfo| task.state == TaskState::Idle;
        while !(taken() && join_ok(side.handle().tasks()).iter().all(idle)) {}
        assert!(!cancel.is_finished() && !other.is_finished());
        assert_eq!(cancel.cancel(), CancelRequest::Requested);
        while !other.is_finished() {
            join_ok(side.handle().call(|| ()));
        }
        let metrics = side.handle().metrics();
        assert_eq!((metrics.cancelled, metrics.panicked, metrics.live), (1, 0, 0));
    });
}

/// W1, T1: a task that floods its own loop with wakes from a thread costs a poll a round, no more.
#[test]
fn a_flood_of_wakes_holds_up_nobody() {
    limited(|| {
        let side = loop_started();
        let (tell, told) = std::sync::mpsc::channel::<Waker>();
        let mut tell = Some(tell);
        let flooded = side.handle().spawn(std::future::poll_fn(move |cx| {
            if let Some(tell) = tell.take() {
                tell.send(cx.waker().clone()).expect("somebody listens");
            }
            Poll::<()>::Pending
        }));
        let waker = told.recv().expect("it is polled");
        let stop = Arc::new(AtomicBool::new(false));
        let stops = Arc::clone(&stop);
        let flood = std::thread::spawn(move || {
            let mut wakes = 0_u64;
            while !stops.load(Ordering::Relaxed) {
                waker.wake_by_ref();
                wakes += 1;
            }
            wakes
        });
        for n in 0..1000 {
            assert_eq!(join_ok(side.handle().call(move || n)), n);
        }
        assert_eq!(flooded.cancel(), CancelRequest::Requested);
        assert!(matches!(join_err(flooded), JoinError::Cancelled));
        stop.store(true, Ordering::Relaxed);
        let wakes = flood.join().expect("no panic");
        let polls = side.handle().metrics().polls;
        assert!(polls <= wakes + 1002, "{polls} polls for {wakes} wakes");
    });
}

/// Wakes what it was given, under a lock that those who are woken take as well.
struct Locked(Arc<Mutex<Vec<Waker>>>);

impl Drop for Locked {
    fn drop(&mut self) {
        let wakers = self.0.lock().expect("nobody panics");
        wakers.iter().for_each(Waker::wake_by_ref);
    }
}

/// W1, P1: a destructor that wakes under a lock which polls, other destructors and other threads take as well.
#[test]
fn wakes_from_a_destructor_that_holds_a_lock_deadlock_nobody() {
    limited(|| {
        let side = loop_started();
        let lock = Arc::new(Mutex::new(Vec::new()));
        let waits = || {
            let (lock, mut polls) = (lock.clone(), 0);
            poll_fn(move |cx| {
                lock.lock().expect("nobody panics").push(cx.waker().clone());
                polls += 1;
                if polls > 3 { Poll::Ready(()) } else { Poll::Pending }
            })
        };
        let waiting: Vec<_> = (0..10).map(|_| side.handle().spawn(waits())).collect();
        join_ok(side.handle().call(|| ()));
        let stop = Arc::new(AtomicBool::new(false));
        let (others, until) = (lock.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                drop(Locked(others.clone()));
            }
        });
        for _ in 0..50 {
            let locked = Locked(lock.clone());
            let held = side.handle().spawn(async move {
                let _locked = locked;
                std::future::pending::<()>().await;
            });
            held.abort();
            assert!(matches!(join_err(held), JoinError::Cancelled));
        }
        waiting.into_iter().for_each(join_ok);
        stop.store(true, Ordering::Relaxed);
        thread.join().expect("no panic");
        side.shutdown(Shutdown::now());
        lock.lock().expect("nobody panics").clear();
    });
}

/// W4: a hundred thousand clones of one waker are more than a count of 16 bits would hold; none is lost.
#[test]
fn a_hundred_thousand_clones_of_a_waker_are_counted() {
    limited(|| {
        let side = loop_started();
        let (drops, place) = (Drops::new(), Arc::new(Mutex::new(Vec::new())));
        let (token, clones, mut polls) = (drops.token(), place.clone(), 0);
        let task = side.handle().spawn(poll_fn(move |cx| {
            let _token = &token;
            polls += 1;
            if polls == 1 {
                let many = (0..100_000).map(|_| cx.waker().clone());
                clones.lock().expect("nobody panics").extend(many);
            }
            if polls <= 2 { Poll::Pending } else { Poll::Ready(polls) }
        }));
        join_ok(side.handle().call(|| ()));
        let clones = std::mem::take(&mut *place.lock().expect("nobody panics"));
        assert_eq!(clones.len(), 100_000);
        clones[99_999].wake_by_ref();
        join_ok(side.handle().call(|| ()));
        let mut clones = clones.into_iter();
        clones.next().expect("a waker").wake();
        assert_eq!(join_ok(task), 3);
        assert_eq!(drops.count(), 1, "dropped with its task, whoever keeps wakers");
        clones.for_each(Waker::wake);
        assert_eq!(join_ok(side.handle().call(|| 7)), 7);
    });
}
