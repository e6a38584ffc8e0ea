//! Tasks from their spawn to their end.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use harness::Options;
use harness::local::{Aborts, Runtime, Sideloop, Tokio};

use crate::{Cycle, Laps};

/// Measures and prints the table.
pub(crate) fn print(options: &Options) {
    let operations = ["spawn and first poll", "wake and poll", "abort and join"];
    let peers = vec![peer::<Sideloop>(), peer::<Tokio>()];
    crate::table("scale-tasks", operations, peers, options);
}

fn peer<R: Runtime<Spawner: Aborts>>() -> (&'static str, Cycle<3>) {
    let mut runtime = R::new();
    (R::NAME, Box::new(move |tasks| runtime.run(move |spawner| cycle(spawner, tasks))))
}

/// What the tasks count in, and hand their wakers out by.
#[derive(Default)]
struct Board {
    /// How many polls are awaited still, and who awaits them.
    left: Cell<usize>,
    awaiting: Cell<Option<Waker>>,
    wakers: RefCell<Vec<Waker>>,
}

impl Board {
    fn polled(&self) {
        self.left.set(self.left.get() - 1);
        if self.left.get() == 0
            && let Some(waker) = self.awaiting.take()
        {
            waker.wake();
        }
    }

    /// Waits, asleep, until as many polls have been as were set.
    async fn all_polled(&self) {
        poll_fn(|cx| {
            if self.left.get() == 0 {
                return Poll::Ready(());
            }
            self.awaiting.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

/// A task that never ends, and counts its polls.
fn idle(board: Rc<Board>) -> impl Future<Output = ()> {
    let mut first = true;
    poll_fn(move |cx| {
        if std::mem::take(&mut first) {
            board.wakers.borrow_mut().push(cx.waker().clone());
        }
        board.polled();
        Poll::Pending
    })
}

async fn cycle<S: Aborts>(spawner: S, tasks: usize) -> [Duration; 3] {
    let board = Rc::new(Board::default());
    board.wakers.borrow_mut().reserve(tasks);
    let mut joins = Vec::with_capacity(tasks);
    let mut laps = Laps::start();

    board.left.set(tasks);
    joins.extend((0..tasks).map(|_| spawner.spawn(idle(board.clone()))));
    board.all_polled().await;
    let spawned = laps.lap();

    board.left.set(tasks);
    board.wakers.borrow().iter().for_each(Waker::wake_by_ref);
    board.all_polled().await;
    let woken = laps.lap();

    let wakers = board.wakers.take();
    laps.lap();
    let mut ends = Vec::with_capacity(tasks);
    ends.extend(joins.into_iter().map(S::abort));
    for end in ends {
        end.await;
    }
    let ended = laps.lap();
    drop(wakers);
    [spawned, woken, ended]
}
