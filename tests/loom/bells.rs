//! A loop that sleeps in one of two places: whoever ends its sleep rings the bell of that place.

use std::sync::Arc as StdArc;

use loom::sync::{Condvar, Mutex};
use loom::thread;

use crate::runtime::bells::Bells;
use crate::runtime::parker::{Parker, fall_asleep};
use crate::support::Model;
use crate::sync::{Arc, AtomicUsize, Ordering};

/// What a driver waits for: a mark that stays until a wait has seen it, as an `eventfd` does.
#[derive(Default)]
struct Driver {
    rung: Mutex<usize>,
    bell: Condvar,
}

impl Driver {
    fn ring(&self) {
        *self.rung.lock().expect("no panics") += 1;
        self.bell.notify_one();
    }

    /// Waits for a ring, and says how many there were.
    fn wait(&self) -> usize {
        let mut rung = self.rung.lock().expect("no panics");
        while *rung == 0 {
            rung = self.bell.wait(rung).expect("no panics");
        }
        std::mem::take(&mut rung)
    }
}

/// N2, W3: a loop moves from its parker into its driver while two threads wake it: each of its sleeps is ended, and there
/// is at most one ring for each.
///
/// Faults: `bell_hung_and_not_named`.
#[test]
fn two_wakers_against_a_loop_that_moves() {
    loom::model(|| {
        let (parker, driver) = (Parker::default(), StdArc::new(Driver::default()));
        let bells = Bells::new(parker.clone());
        let model = Model::with_bells(bells.clone());
        let sent = Arc::new(AtomicUsize::new(0));
        let waker = || {
            let (run_queues, sent) = (model.run_queues(), sent.clone());
            thread::spawn(move || {
                // ORDERING: Relaxed: it is the notification that has to publish it.
                sent.fetch_add(1, Ordering::Relaxed);
                run_queues.notify();
            })
        };
        let wakers = [waker(), waker()];
        let (mut in_driver, mut rings) = (false, 0);
        model.side.resume();
        // ORDERING: Relaxed: as above.
        while sent.load(Ordering::Relaxed) < 2 {
            if in_driver {
                fall_asleep(&model.side, || rings += driver.wait());
            } else {
                parker.sleep(&model.side, None);
                let bell = driver.clone();
                bells.hang(Box::new(move || bell.ring()));
                in_driver = true;
            }
            model.side.resume();
        }
        for waker in wakers {
            waker.join().expect("ends");
        }
        let parks = usize::try_from(model.side.counters().parks.get()).expect("a few");
        assert!(model.unparks() <= parks, "{} rings for {parks} sleeps", model.unparks());
        assert!(rings <= model.unparks(), "a bell rang by itself");
        model.close();
    });
}
