//! Handles that are awaited by one thread after the other, while their tasks end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use shuttle::future::block_on;
use shuttle::thread::{self, Thread};
use sideloop::bare::Remote;

use crate::support::{Driven, Kind, Record, Work, below, explore, join_all};

const PAIRS: usize = 3;

/// A waker of its own for each look: no two of them are equal.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn fresh() -> Waker {
    Waker::from(Arc::new(Unpark(thread::current())))
}

/// Spawns a task that another thread ends, and looks at it now and then before a third one waits for it.
fn one_pair(remote: &Remote, record: &Arc<Record>) {
    let kind = [Kind::Waits, Kind::Stuck, Kind::Yields(1)][below(3)];
    let mut handle = remote.spawn(Work { kind, record: record.clone() });
    let (canceller, opener) = (handle.canceller(), record.clone());
    let other = thread::spawn(move || match kind {
        Kind::Waits => opener.open(),
        _ => drop(canceller.abort()),
    });
    let looks = |_| Pin::new(&mut handle).poll(&mut Context::from_waker(&fresh()));
    let seen = (0..below(3)).map(looks).find_map(|look| match look {
        Poll::Ready(outcome) => Some(outcome),
        Poll::Pending => None,
    });
    let outcome = match seen {
        Some(outcome) => outcome,
        None => thread::spawn(move || block_on(handle)).join().expect("it does not panic"),
    };
    record.forget();
    assert_eq!(outcome.is_err(), record.outputs() == 0, "{outcome:?} {record:?}");
    assert!(outcome.is_err() || kind != Kind::Stuck, "{record:?}");
    drop(outcome);
    record.demand_ended();
    other.join().expect("it does not panic");
}

/// J1, J3: a handle is polled by one thread, then awaited by another with other wakers, while a third
/// wakes or cancels the task: the last who waits is woken, and finds the future dropped.
///
/// Faults: `cancelled_joiner_not_woken`, `lend_after_done`.
#[test]
fn the_last_who_waits_is_woken() {
    explore(|| {
        let mut driven = Driven::new();
        let home = thread::current().id();
        let records: Vec<_> = (0..PAIRS).map(|_| Record::new(home)).collect();
        let mut producers = Vec::new();
        for record in &records {
            let mine = record.clone();
            producers.push(driven.producer(move |remote| one_pair(remote, &mine)));
        }
        driven.run();
        join_all(producers);
        driven.end();
        for record in records {
            record.forget();
            record.demand_ended();
        }
        driven.demand_nothing_left();
    });
}
