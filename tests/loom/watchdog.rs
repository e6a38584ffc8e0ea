//! A loop and the watchdog that tells when a poll takes too long.

use std::sync::Arc as StdArc;
use std::time::Duration;

use loom::thread;

use crate::runtime::thread_waker::ThreadWaker;
use crate::runtime::watchdog::watch::Watch;
use crate::sync::Mutex;

/// What a loop's watchdog has told, and the loop that waits for it.
#[derive(Default)]
struct Told {
    polls: Mutex<Vec<u8>>,
    stuck: StdArc<ThreadWaker>,
}

/// A watchdog for which each poll is too long, with no limit, or none, with the greatest: with another one, what
/// it does would hang on a real clock.
fn watched(watch: &StdArc<Watch<u8>>, limit: Duration) -> (StdArc<Told>, thread::JoinHandle<()>) {
    let (watching, told) = (StdArc::clone(watch), StdArc::new(Told::default()));
    let telling = StdArc::clone(&told);
    let thread = thread::spawn(move || {
        watching.run(limit, |poll, _| {
            telling.polls.lock().push(poll);
            std::task::Wake::wake_by_ref(&telling.stuck);
        });
    });
    (told, thread)
}

impl Told {
    /// A poll that is stuck until it is told.
    fn poll(&self, watch: &Watch<u8>, poll: u8) {
        watch.begin(poll);
        while self.polls.lock().last() != Some(&poll) {
            self.stuck.wait(None);
        }
        watch.end();
    }
}

/// O2: two polls, each stuck until it is told, against a watchdog that rests in between: each is told, and told once.
///
/// Faults: `begin_leaves_the_watchdog_asleep`, `watchdog_sleeps_unasked`, `stall_told_again`.
#[test]
fn polls_against_rest() {
    loom::model(|| {
        let watch = StdArc::default();
        let (told, thread) = watched(&watch, Duration::ZERO);
        for poll in 0..2 {
            told.poll(&watch, poll);
        }
        watch.stop();
        thread.join().expect("ends");
        assert_eq!(*told.polls.lock(), [0, 1]);
    });
}

/// O2: a poll that is over is not told, however long it was.
///
/// Faults: `end_leaves_the_poll`.
#[test]
fn a_poll_that_is_over() {
    loom::model(|| {
        let watch = StdArc::default();
        Watch::begin(&watch, 0);
        watch.end();
        let (told, thread) = watched(&watch, Duration::ZERO);
        told.poll(&watch, 1);
        watch.stop();
        thread.join().expect("ends");
        assert_eq!(*told.polls.lock(), [1]);
    });
}

/// O2: a loop ends while its watchdog watches a poll, or begins to rest: it ends too, and has told nothing.
///
/// Faults: `watchdog_rung_before_the_mark`.
#[test]
fn stop_against_rest() {
    loom::model(|| {
        let watch = StdArc::default();
        let (told, thread) = watched(&watch, Duration::MAX);
        watch.begin(0);
        watch.end();
        watch.stop();
        thread.join().expect("ends");
        assert!(told.polls.lock().is_empty());
    });
}
