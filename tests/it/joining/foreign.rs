//! The ecosystem: `futures` spawns on us, and other executors await our handles.

use std::rc::Rc;
use std::task::Context;
use std::thread;
use std::time::Duration;

use futures::future::{self, Either, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use futures::task::{LocalSpawn, LocalSpawnExt, Spawn, SpawnExt};
use sideloop::{Executor, JoinError, LocalHandle, Shutdown, current, time};

use crate::support::*;

/// J1: `futures`' own executor awaits our tasks.
#[test]
fn a_foreign_executor_can_await_a_task() {
    limited(|| {
        let looped = loop_started();
        let value = futures::executor::block_on(async {
            let one = looped.handle().spawn(async {
                time::sleep(Duration::from_millis(1)).await;
                1
            });
            let two = looped.handle().call(|| 2);
            one.await.expect("one") + two.await.expect("two")
        });
        assert_eq!(value, 3);
    });
}

/// J1: and so does tokio's.
#[test]
fn tokio_can_await_a_task() {
    limited(|| {
        let looped = loop_started();
        let tokio = tokio::runtime::Builder::new_current_thread().build().expect("tokio");
        let value = tokio.block_on(async { looped.handle().spawn(async { 7 }).await });
        assert_eq!(value.expect("a value"), 7);
    });
}

/// J1: inside `join!`, in any order of completion.
#[test]
fn handles_work_in_join() {
    limited(|| {
        let looped = loop_started();
        let gate = Gate::new();
        let waits = looped.handle().spawn(gate.passed());
        let opens = looped.handle().call(move || gate.open());
        let pending = looped.handle().spawn(std::future::pending::<()>());
        pending.cancel();
        let ended = async { futures::join!(waits, opens, pending) };
        let (waits, opens, pending) = futures::executor::block_on(ended);
        assert!(waits.is_ok() && opens.is_ok());
        assert!(matches!(pending, Err(JoinError::Cancelled)));
    });
}

/// J1: inside `select!`: the loser is only a handle, its task goes on.
#[test]
fn handles_work_in_select() {
    limited(|| {
        let looped = loop_started();
        let gate = Gate::new();
        let (passed, slow) = (gate.passed(), looped.handle().clone());
        let mut slow = slow.spawn(async move {
            passed.await;
            "slow"
        });
        let winner = futures::executor::block_on(async {
            let mut fast = looped.handle().call(|| "fast").fuse();
            futures::select! {
                fast = fast => fast,
                slow = (&mut slow).fuse() => slow,
            }
        });
        assert_eq!(winner.expect("a value"), "fast");
        gate.open();
        assert_eq!(join_ok(slow), "slow");
    });
}

/// J1: a thousand handles in one `FuturesUnordered`, awaited inside another loop.
#[test]
fn handles_work_in_a_stream_of_futures() {
    limited(|| {
        let (looped, other) = (loop_started(), loop_started());
        let tasks: FuturesUnordered<_> =
            (0..1000_u64).map(|n| looped.handle().spawn(async move { n })).collect();
        let sum = other.handle().spawn(tasks.fold(0, async |sum, n| sum + n.expect("a value")));
        assert_eq!(join_ok(sum), 499_500);
    });
}

/// J1: a handle that moves from one executor to another wakes the one that polled last.
#[test]
fn the_last_waker_of_a_joiner_is_woken() {
    limited(|| {
        let looped = loop_started();
        let gate = Gate::new();
        let mut task = looped.handle().spawn(gate.passed());
        let (stale, waker) = CountingWaker::new();
        assert!(task.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
        let opens = gate.clone();
        let opener = thread::spawn(move || opens.open());
        futures::executor::block_on(task).expect("woken");
        opener.join().expect("opens");
        assert!(stale.count() <= 1);
    });
}

/// J1: a joiner's waker is woken once, however often it polled.
#[test]
fn a_joiner_is_woken_once() {
    limited(|| {
        let looped = loop_started();
        let gate = Gate::new();
        let mut task = looped.handle().spawn(gate.passed());
        let (counter, waker) = CountingWaker::new();
        for _ in 0..100 {
            assert!(task.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
        }
        gate.open();
        while !task.is_finished() {
            thread::yield_now();
        }
        (0..2).for_each(|_| join_ok(looped.handle().call(|| ())));
        assert_eq!(counter.count(), 1);
        assert!(task.poll_unpin(&mut Context::from_waker(&waker)).is_ready());
    });
}

/// J1: `select` with a timer of ours, inside a task of ours.
#[test]
fn a_select_against_a_timer_works() {
    limited(|| {
        let looped = loop_started();
        let task = looped.handle().spawn(async {
            let pending = current().spawn(std::future::pending::<()>());
            let limit = Box::pin(time::sleep(Duration::from_millis(2)));
            match future::select(pending, limit).await {
                Either::Left((ended, _)) => panic!("ended with {ended:?}"),
                Either::Right(((), pending)) => pending.abort(),
            }
        });
        assert_eq!(join_ok(task), sideloop::CancelRequest::Requested);
    });
}

/// The contract of `Spawn for Handle`: `SpawnExt` works, also through a trait object.
#[test]
fn spawn_ext_works_on_a_handle() {
    limited(|| {
        let looped = loop_started();
        let id = thread_of(looped.handle());
        let handle = looped.handle().clone();
        let (probe, log) = Probe::ready_at(1, ());
        handle.spawn(async {}).detach(); // the inherent method comes first
        SpawnExt::spawn(&handle, probe).expect("open");
        let remote = handle.spawn_with_handle(async { thread::current().id() }).expect("open");
        assert_eq!(futures::executor::block_on(remote), id);
        assert_eq!(log.drops().threads(), [id]);
        let object: &dyn Spawn = &handle;
        object.status().expect("open");
        let remote = object.spawn_with_handle(async { 1 }).expect("open");
        assert_eq!(futures::executor::block_on(remote), 1);
    });
}

/// The contract of `Spawn for Handle`, P7: after the end it answers that it is shut down.
#[test]
fn spawn_ext_says_that_the_loop_has_ended() {
    limited(|| {
        let looped = loop_started();
        let handle = looped.handle().clone();
        looped.shutdown(Shutdown::now());
        let (probe, log) = Probe::ready_at(1, ());
        let error = SpawnExt::spawn(&handle, probe).expect_err("ended");
        assert!(error.is_shutdown());
        assert!(Spawn::status(&handle).is_err());
        assert_eq!((log.polls(), log.drops().threads()), (0, vec![thread::current().id()]));
    });
}

/// The contract of `LocalHandle`: `LocalSpawnExt` works, with futures that are not `Send`.
#[test]
fn local_spawn_ext_works_on_a_local_handle() {
    limited(|| {
        let mut executor = Executor::new();
        let local = executor.local_handle();
        let shared = Rc::new(1);
        let (one, two) = (Rc::clone(&shared), Rc::clone(&shared));
        LocalSpawnExt::spawn_local(&local, async move { drop(one) }).expect("open");
        let remote = local.clone().spawn_local_with_handle(async move { *two + 1 }).expect("open");
        assert_eq!(executor.block_on(remote), 2);
        assert_eq!(Rc::strong_count(&shared), 1);
        let inside = executor.block_on(async {
            let local = LocalHandle::current();
            let object: &dyn LocalSpawn = &local;
            object.spawn_local_with_handle(async { Rc::new(3) }).expect("open").await
        });
        assert_eq!(*inside, 3);
        drop(executor);
        let late = LocalSpawnExt::spawn_local(&local, async {});
        assert!(late.expect_err("the executor is gone").is_shutdown());
    });
}

/// The contract of `LocalHandle::current`: it is there on the loop thread.
#[test]
fn a_local_handle_is_had_on_the_loop_thread() {
    limited(|| {
        let looped = loop_started();
        let id = thread_of(looped.handle());
        let task = looped.handle().spawn_with(|| async {
            let ran = LocalHandle::current().spawn_local_with_handle(async {
                let not_send = Rc::new(thread::current().id());
                *not_send
            });
            ran.expect("open").await
        });
        assert_eq!(join_ok(task), id);
    });
}
