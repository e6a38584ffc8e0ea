//! Wakes and pushes: nothing is lost, everything is seen, one unpark per sleep.

use std::sync::Arc as StdArc;

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use crate::support::{Model, Until, origin, spawn_remote, within};
use crate::sync::Arc;
use crate::task::run_queues::Parked;
use crate::task::spawn::{Kind, NewTask};

/// A task that is ready when both counters are 1, polled once already; and its waker.
fn waiting(
    model: &Model,
    data: [Arc<AtomicUsize>; 2],
) -> (crate::task::join::Join<()>, std::task::Waker) {
    let waker = StdArc::default();
    let ready = move || data.iter().all(|one| one.load(Ordering::Relaxed) == 1);
    let join = model.spawn(Until { waker: StdArc::clone(&waker), ready });
    model.turn();
    let waker = waker.lock().expect("no poll panics").take().expect("it was polled");
    (join, waker)
}

fn numbers() -> [Arc<AtomicUsize>; 2] {
    [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))]
}

/// W2: a wake while the loop polls, takes in or parks is never lost, and its data is seen.
///
/// Faults: `park_swaps`, `take_in_forgets_wakes`.
#[test]
fn wake_against_poll() {
    loom::model(|| {
        let model = Model::new();
        let data = numbers();
        data[1].store(1, Ordering::Relaxed);
        let (join, waker) = waiting(&model, data.clone());
        let other = thread::spawn(move || {
            data[0].store(1, Ordering::Relaxed);
            waker.wake();
        });
        model.run_until(|| join.is_done());
        other.join().expect("ends");
        drop(join);
        model.close();
    });
}

/// W2: what the second of two wakers wrote is seen by the poll, though only the first one queued.
///
/// Faults: `take_in_relaxed`, `wake_of_queued_publishes_nothing`.
#[test]
fn coalesced_wake_is_visible() {
    // Three threads that all push or look at the stacks: three preemptions would take minutes.
    within(2, || {
        let model = Model::new();
        let data = numbers();
        let (join, waker) = waiting(&model, data.clone());
        let [first, second] = data;
        let clone = waker.clone();
        let one = thread::spawn(move || {
            first.store(1, Ordering::Relaxed);
            waker.wake();
        });
        let two = thread::spawn(move || {
            second.store(1, Ordering::Relaxed);
            clone.wake();
        });
        model.run_until(|| join.is_done());
        one.join().expect("ends");
        two.join().expect("ends");
        drop(join);
        model.close();
    });
}

/// W2: a poll that a local wake caused answers the remote wakes it has seen, and no other.
///
/// Faults: `begin_poll_clears_relaxed`, `reference_given_with_an_entry`.
#[test]
fn local_poll_against_remote_wakes() {
    loom::model(|| {
        let model = Model::new();
        let data = numbers();
        let (join, waker) = waiting(&model, data.clone());
        let local = waker.clone();
        let other = thread::spawn(move || {
            for one in data {
                one.store(1, Ordering::Relaxed);
                waker.wake_by_ref();
            }
        });
        {
            let _entered = model.side.enter();
            local.wake();
        }
        model.run_until(|| join.is_done());
        other.join().expect("ends");
        drop(join);
        model.close();
    });
}

/// P4: two producers against take-all: everything arrives once, in each producer's order.
///
/// Faults: `push_relaxed`, `take_all_unreversed`.
#[test]
fn push_against_take_all() {
    loom::model(|| {
        let model = Model::new();
        let order = Arc::new(std::sync::Mutex::new(Vec::new()));
        let producers: Vec<_> = [2, 1]
            .into_iter()
            .map(|pushes| {
                let (run_queues, order) = (model.run_queues(), order.clone());
                thread::spawn(move || {
                    let push = |n| {
                        let order = order.clone();
                        spawn_remote(&run_queues, async move {
                            order.lock().expect("plain").push((pushes, n))
                        })
                    };
                    (0..pushes).map(push).collect::<Vec<_>>()
                })
            })
            .collect();
        model.turn();
        let handles: Vec<_> = producers.into_iter().map(|one| one.join().expect("ends")).collect();
        model.turn();
        let seen = order.lock().expect("plain").clone();
        assert_eq!(seen.len(), 3, "{seen:?}");
        let of_two: Vec<i32> = seen.iter().filter(|(p, _)| *p == 2).map(|(_, n)| *n).collect();
        assert_eq!(of_two, [0, 1], "{seen:?}");
        drop(handles);
        model.turn();
        model.close();
    });
}

/// W3: two producers against one sleep: the loop wakes, and at most one of them unparks it.
///
/// Faults: `notify_only_when_seen`, `unpark_without_sleep`.
#[test]
fn two_wakers_one_park() {
    loom::model(|| {
        let model = Model::new();
        let ran = Arc::new(AtomicUsize::new(0));
        let producers: Vec<_> = (0..2)
            .map(|_| {
                let (run_queues, ran) = (model.run_queues(), ran.clone());
                thread::spawn(move || {
                    let task = async move {
                        ran.fetch_add(1, Ordering::Relaxed);
                    };
                    drop(spawn_remote(&run_queues, task));
                })
            })
            .collect();
        let mut sleeps = 0;
        loop {
            model.turn();
            if ran.load(Ordering::Relaxed) == 2 {
                break;
            }
            if model.side.is_idle() {
                let parked = model.side.park();
                sleeps += usize::from(parked != Parked::Awake);
                while parked == Parked::Asleep && model.side.run_queues().is_parked() {
                    thread::park();
                }
            }
            assert!(model.unparks() <= sleeps, "{} unparks for {sleeps} sleeps", model.unparks());
        }
        for producer in producers {
            producer.join().expect("ends");
        }
        model.close();
    });
}

/// T6: a producer that is stopped between its push and its notification delays nobody else: what is pushed behind it
/// is found before the loop sleeps, or ends the sleep.
///
/// Faults: `no_last_look`, `push_behind_does_not_look`.
#[test]
fn a_producer_stopped_in_its_push_delays_nobody_else() {
    loom::model(|| {
        let model = Model::new();
        let ran = Arc::new(AtomicUsize::new(0));
        let (run_queues, waits) = (model.run_queues(), ran.clone());
        let stopped = thread::spawn(move || {
            let task = NewTask::new(async {}, (), origin(), run_queues.clone(), Kind::Task);
            drop(task.push_stopped(&run_queues, || {
                while waits.load(Ordering::Acquire) == 0 {
                    thread::park();
                }
            }));
        });
        let (run_queues, done, go_on) = (model.run_queues(), ran.clone(), stopped.thread().clone());
        let other = thread::spawn(move || {
            let task = async move {
                done.store(1, Ordering::Release);
                go_on.unpark();
            };
            drop(spawn_remote(&run_queues, task));
        });
        model.run_until(|| ran.load(Ordering::Acquire) == 1);
        other.join().expect("ends");
        stopped.join().expect("ends");
        model.close();
    });
}
