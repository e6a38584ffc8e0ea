//! The sleep word with the lock and the bell that a loop's thread sleeps by, and with a host that is told.

use loom::thread;

use crate::runtime::parker::rest_at_last;
use crate::support::{Model, spawn_remote};
use crate::sync::{Arc, AtomicUsize, Ordering};

/// A thread that spawns a task which counts that it ran.
fn producer(model: &Model, ran: &Arc<AtomicUsize>) -> thread::JoinHandle<()> {
    let (run_queues, ran) = (model.run_queues(), ran.clone());
    thread::spawn(move || {
        let task = async move {
            // ORDERING: Relaxed: only counted, on the loop's thread.
            ran.fetch_add(1, Ordering::Relaxed);
        };
        drop(spawn_remote(&run_queues, task));
    })
}

/// Each sleep of the loop was ended by a ring, and each ring has ended one.
fn assert_rung_for(model: &Model) {
    let counters = model.side.counters();
    let rings = u64::try_from(model.unparks()).expect("a few");
    let ended = (counters.unparks.get(), rings);
    assert_eq!(
        ended,
        (counters.parks.get(), counters.parks.get()),
        "ended, and rung for, of all sleeps"
    );
}

/// W2: a producer that comes between the loop's last look and its sleep ends that sleep.
///
/// Faults: `last_look_outside_the_lock`, `notify_without_the_lock`.
#[test]
fn notify_against_sleep() {
    loom::model(|| {
        let model = Model::with_parker();
        let ran = Arc::new(AtomicUsize::new(0));
        let thread = producer(&model, &ran);
        // ORDERING: Relaxed: as above.
        model.run_until(|| ran.load(Ordering::Relaxed) == 1);
        thread.join().expect("ends");
        assert_rung_for(&model);
        model.close();
    });
}

/// W3: two that notify against the sleeps of a loop: one of them rings for each, and a ring that is late ends no
/// other.
///
/// Faults: `late_ring_ends_the_next_sleep`.
#[test]
fn two_producers_ring_once() {
    loom::model(|| {
        let model = Model::with_parker();
        let sent = Arc::new(AtomicUsize::new(0));
        let producer = || {
            let (run_queues, sent) = (model.run_queues(), sent.clone());
            thread::spawn(move || {
                // ORDERING: Relaxed: it is the notification that has to publish it.
                sent.fetch_add(1, Ordering::Relaxed);
                run_queues.notify();
            })
        };
        let producers = [producer(), producer()];
        model.side.resume();
        // ORDERING: Relaxed: as above.
        while sent.load(Ordering::Relaxed) < 2 {
            model.sleep();
            model.side.resume();
        }
        for producer in producers {
            producer.join().expect("ends");
        }
        assert_rung_for(&model);
        model.close();
    });
}

/// W2: a run ends, and its loop rests, while another thread spawns: a loop that was declared asleep has told its
/// host of all that came in since its last look, once.
///
/// Faults: `rest_overwrites_a_bell`.
#[test]
fn push_against_the_end_of_a_run() {
    loom::model(|| {
        let model = Model::with_parker();
        let ran = Arc::new(AtomicUsize::new(0));
        let thread = producer(&model, &ran);
        model.turn();
        rest_at_last(&model.side);
        thread.join().expect("ends");
        let run_queues = model.run_queues();
        assert!(
            !(run_queues.is_parked() && run_queues.has_any()),
            "it sleeps, and nobody was told"
        );
        assert!(model.unparks() <= 1, "told {} times of one task", model.unparks());
        model.turn();
        // ORDERING: Relaxed: as above.
        assert_eq!(ran.load(Ordering::Relaxed), 1);
        model.close();
    });
}
