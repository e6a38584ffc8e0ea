//! One operation many times, to count its instructions under valgrind: `counts OPERATION TIMES`.
//!
//! `benches/counts.sh` runs each operation with two numbers of times, divides the difference, and compares with the
//! table `benches/counts.txt`. Instructions are no time, but they are the same from run to run.

use std::env;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use sideloop::{Builder, Executor, spawn_local, time, yield_now};

/// Wakes itself so many times.
struct Wakes(usize);

impl Future for Wakes {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0 == 0 {
            return Poll::Ready(());
        }
        self.0 -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Spawns and joins, a hundred at a time.
async fn spawn_join(times: usize) {
    let mut tasks = Vec::with_capacity(100);
    for _ in 0..times / 100 {
        tasks.extend((0..100).map(|n| spawn_local(async move { n })));
        for task in tasks.drain(..) {
            task.await.expect("it ends");
        }
    }
}

/// Spawns tasks that wait, aborts them, and joins them, a hundred at a time.
async fn abort_join(times: usize) {
    let mut tasks = Vec::with_capacity(100);
    for _ in 0..times / 100 {
        tasks.extend((0..100).map(|_| spawn_local(std::future::pending::<()>())));
        yield_now().await;
        yield_now().await;
        tasks.iter().for_each(|task| {
            let _ = task.abort();
        });
        for task in tasks.drain(..) {
            assert!(task.await.is_err());
        }
    }
}

/// Makes, polls and drops a sleep.
async fn sleep_cancel(times: usize) {
    for _ in 0..times {
        let mut sleep = pin!(time::sleep(Duration::from_secs(30)));
        poll_fn(|cx| Poll::Ready(sleep.as_mut().poll(cx).is_pending())).await;
    }
}

/// Lets a timer fire.
async fn sleep_fire(times: usize) {
    for _ in 0..times {
        time::sleep(Duration::from_micros(10)).await;
    }
}

/// A time limit around something that is ready after one yield.
async fn timeout_yield(times: usize) {
    for _ in 0..times {
        time::timeout(Duration::from_secs(30), yield_now()).await.expect("in time");
    }
}

/// Spawns from another thread; the loop takes the tasks in, and runs them.
fn remote_spawn(times: usize) {
    let mut executor = Executor::new();
    let handle = executor.handle().clone();
    let spawner = thread::spawn(move || {
        for _ in 0..times {
            handle.spawn(async {}).detach();
        }
    });
    spawner.join().expect("it spawns");
    executor.run_until_idle();
}

/// Wakes from another thread, one wake for each poll.
fn remote_wake(times: usize) {
    let mut executor = Executor::new();
    let (send, receive) = std::sync::mpsc::channel();
    executor
        .spawn_local(poll_fn(move |cx| {
            send.send(cx.waker().clone()).expect("it is awaited");
            Poll::<()>::Pending
        }))
        .detach();
    executor.run_until_idle();
    for _ in 0..times {
        receive.recv().expect("it was polled").wake(); // outside of the run: as from another thread
        executor.run_until_idle();
    }
}

fn on_the_loop<F: Future<Output = ()> + 'static>(future: F) {
    Builder::new()
        .virtual_time(0)
        .build()
        .block_on(async { spawn_local(future).await })
        .expect("ends");
}

fn main() {
    let mut arguments = env::args().skip(1).filter(|argument| argument != "--bench");
    let Some(operation) = arguments.next() else { return println!("counts OPERATION TIMES") };
    let times = arguments.next().and_then(|times| times.parse().ok()).unwrap_or(1000);
    match operation.as_str() {
        "spawn_join" => on_the_loop(spawn_join(times)),
        "self_wake" => on_the_loop(Wakes(times)),
        "yield" => on_the_loop(async move {
            for _ in 0..times {
                yield_now().await;
            }
        }),
        "abort_join" => on_the_loop(abort_join(times)),
        "sleep_cancel" => on_the_loop(sleep_cancel(times)),
        "sleep_fire" => on_the_loop(sleep_fire(times)),
        "timeout_yield" => on_the_loop(timeout_yield(times)),
        "remote_spawn" => remote_spawn(times),
        "remote_wake" => remote_wake(times),
        other => println!("no such operation: {other}"),
    }
}
