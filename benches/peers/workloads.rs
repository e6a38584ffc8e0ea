//! The workloads: the same code for every runtime.
//!
//! Each runs a number of batches and says how long that took. What happens on the loop is driven by
//! a task, not by the future of a `block_on`, because that is where a program spawns and joins.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::hint::black_box;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use harness::local::{
    Aborts, AsyncExecutor, Compio, Monoio, Pool, Runtime, Sideloop, Spawner, Tokio, TokioLocalSet,
};
use harness::rounds::{Run, Workload};

/// How many tasks, wakes or messages a batch has.
const BATCH: usize = 1000;

/// A workload of [`BATCH`] operations on each of these runtimes.
macro_rules! workload {
    ($name:expr, [$($runtime:ty),*], $drive:expr) => {
        Workload {
            name: $name.into(),
            operations: BATCH as u64,
            prepare: Box::new(|| vec![$(on::<$runtime, _>($drive)),*]),
        }
    };
}

pub(crate) fn all() -> Vec<Workload> {
    /// With all of the runtimes.
    macro_rules! of_all {
        ($name:expr, $drive:expr) => {
            workload!(
                $name,
                [Sideloop, Tokio, TokioLocalSet, AsyncExecutor, Pool, Compio, Monoio],
                $drive
            )
        };
    }
    vec![
        of_all!("spawn + join", spawn_and_join),
        of_all!("self-wake, 1 task", |on, n| self_wake(on, 1, n)),
        of_all!("self-wake, 1000 tasks", |on, n| self_wake(on, BATCH as u64, n)),
        of_all!("ping-pong, bare wakers", bare_ping_pong),
        of_all!("ping-pong, async-channel", channel_ping_pong),
        workload!("abort + join, all at once", [Sideloop, Tokio, TokioLocalSet], abort_all),
        workload!(
            "abort + join, one by one",
            [Sideloop, Tokio, TokioLocalSet, AsyncExecutor, Compio],
            abort_each
        ),
    ]
}

/// Has a new runtime of this thread run `drive` as a task.
fn on<R: Runtime, F: Future<Output = Duration> + 'static>(
    drive: impl Fn(R::Spawner, u64) -> F + 'static,
) -> (&'static str, Run) {
    let runtime = RefCell::new(R::new());
    (R::NAME, Box::new(move |n| runtime.borrow_mut().run(|spawner| drive(spawner, n))))
}

/// Pending once, having woken its own task.
async fn yield_once() {
    let mut yielded = false;
    poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Per operation: a spawn, a poll that is ready, a join by `.await`.
async fn spawn_and_join<S: Spawner>(spawner: S, batches: u64) -> Duration {
    let mut joins = Vec::with_capacity(BATCH);
    let begun = Instant::now();
    for _ in 0..batches {
        joins.extend((0..BATCH).map(|i| spawner.spawn(async move { i })));
        for join in joins.drain(..) {
            black_box(join.await);
        }
    }
    begun.elapsed()
}

/// Per operation: a wake of the running task, and its next poll. Spawns and joins are not measured.
async fn self_wake<S: Spawner>(spawner: S, tasks: u64, batches: u64) -> Duration {
    let each = batches * BATCH as u64 / tasks;
    let left = Rc::new(Cell::new(tasks));
    let last = Rc::new(Cell::new(None));
    let task = || {
        let (left, last) = (left.clone(), last.clone());
        async move {
            for _ in 0..each {
                yield_once().await;
            }
            left.set(left.get() - 1);
            if left.get() == 0 {
                last.set(Some(Instant::now()));
            }
        }
    };
    let joins: Vec<_> = (0..tasks).map(|_| spawner.spawn(task())).collect();
    let begun = Instant::now();
    for join in joins {
        join.await;
    }
    last.get().expect("all have ended") - begun
}

/// A channel of one place for two tasks of one thread.
#[derive(Default)]
struct Wire {
    message: Cell<Option<u64>>,
    receiver: Cell<Option<Waker>>,
}

impl Wire {
    fn send(&self, message: u64) {
        self.message.set(Some(message));
        if let Some(receiver) = self.receiver.take() {
            receiver.wake();
        }
    }

    async fn receive(&self) -> u64 {
        poll_fn(|cx| match self.message.take() {
            Some(message) => Poll::Ready(message),
            None => {
                self.receiver.set(Some(cx.waker().clone()));
                Poll::Pending
            }
        })
        .await
    }
}

/// Per operation: a message from one task to another: a waker cloned, woken and polled.
async fn bare_ping_pong<S: Spawner>(spawner: S, batches: u64) -> Duration {
    let last = batches * BATCH as u64;
    let (there, back) = (Rc::new(Wire::default()), Rc::new(Wire::default()));
    let player = |from: Rc<Wire>, to: Rc<Wire>| async move {
        let mut message = 0;
        while message < last {
            message = from.receive().await + 1;
            to.send(message);
        }
    };
    let players = [(there.clone(), back.clone()), (back, there.clone())];
    let players = players.map(|(from, to)| spawner.spawn(player(from, to)));
    yield_once().await;
    let begun = Instant::now();
    there.send(0);
    for player in players {
        player.await;
    }
    begun.elapsed()
}

/// Per operation: a message from one task to another, through channels of one place as programs have them.
async fn channel_ping_pong<S: Spawner>(spawner: S, batches: u64) -> Duration {
    let last = batches * BATCH as u64;
    let (there, first) = async_channel::bounded(1);
    let (back, second) = async_channel::bounded(1);
    let player = |from: async_channel::Receiver<u64>, to: async_channel::Sender<u64>| async move {
        let mut message = 0;
        while message < last {
            message = from.recv().await.expect("the other plays on") + 1;
            to.send(message).await.expect("the other plays on");
        }
        from // open until the other has sent its last
    };
    let players = [(first, back), (second, there.clone())];
    let players = players.map(|(from, to)| spawner.spawn(player(from, to)));
    yield_once().await;
    let begun = Instant::now();
    there.send(0).await.expect("both play");
    for player in players {
        player.await;
    }
    begun.elapsed()
}

/// Lives as long as the future that holds it.
struct Alive(Rc<Cell<usize>>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// A batch of tasks that have been polled once and wait for ever, and how many of their futures live.
async fn idle_tasks<S: Spawner>(spawner: &S) -> (Vec<S::Join<()>>, Rc<Cell<usize>>) {
    let alive = Rc::new(Cell::new(0));
    let task = |alive: Rc<Cell<usize>>| async move {
        alive.set(alive.get() + 1);
        let _alive = Alive(alive);
        pending::<()>().await;
    };
    let joins = (0..BATCH).map(|_| spawner.spawn(task(alive.clone()))).collect();
    while alive.get() < BATCH {
        yield_once().await;
    }
    (joins, alive)
}

/// Per operation: an abort of an idle task; then, when all have been asked for, a join.
async fn abort_all<S: Aborts>(spawner: S, batches: u64) -> Duration {
    let mut total = Duration::ZERO;
    for _ in 0..batches {
        let (joins, alive) = idle_tasks(&spawner).await;
        let begun = Instant::now();
        let ends: Vec<_> = joins.into_iter().map(S::abort).collect();
        for end in ends {
            end.await;
        }
        total += begun.elapsed();
        assert_eq!(alive.get(), 0, "a join waits for the end");
    }
    total
}

/// Per operation: an abort of an idle task and its join, one task after the other. The join of compio is
/// over before the future is dropped, so its clock runs until the last is.
async fn abort_each<S: Aborts>(spawner: S, batches: u64) -> Duration {
    let mut total = Duration::ZERO;
    for _ in 0..batches {
        let (joins, alive) = idle_tasks(&spawner).await;
        let begun = Instant::now();
        for join in joins {
            S::abort(join).await;
        }
        while alive.get() > 0 {
            yield_once().await;
        }
        total += begun.elapsed();
    }
    total
}
