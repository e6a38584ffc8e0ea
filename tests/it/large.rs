//! Futures and outputs that are large, spawned and joined from threads with a stack of 2 MiB: they are
//! written where they stay, and move through as few frames as can be.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use sideloop::{Builder, Executor, Handle, LoopThread, SpawnError, TaskGroup, current};

use crate::support::{limited, loop_started};

const STACK: usize = 2 << 20;
/// What can be spawned.
const FUTURE: usize = if cfg!(debug_assertions) { 384 << 10 } else { 800 << 10 };
/// What can be joined.
const OUTPUT: usize = 256 << 10;

/// A future of so many bytes.
struct Big<const N: usize>([u8; N]);

impl<const N: usize> Big<N> {
    #[inline(never)]
    fn new() -> Self {
        Self([7; N])
    }
}

impl<const N: usize> Future for Big<N> {
    type Output = u8;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u8> {
        Poll::Ready(self.0[N - 1])
    }
}

/// A future with an output of so many bytes.
struct Yields<const N: usize>;

impl<const N: usize> Future for Yields<N> {
    type Output = [u8; N];

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<[u8; N]> {
        Poll::Ready([7; N])
    }
}

/// Does it on a thread with such a stack, beside a loop with such a stack.
#[track_caller]
fn on_a_small_stack(f: impl FnOnce(&Handle) + Send + 'static) {
    limited(|| {
        let side = Builder::new().stack_size(STACK).start().expect("it starts");
        let handle = side.handle().clone();
        let small = thread::Builder::new().stack_size(STACK).spawn(move || f(&handle));
        small.expect("a thread").join().expect("it ends");
        drop(side);
    });
}

#[test]
fn p2_a_large_future_is_spawned_from_a_small_stack() {
    on_a_small_stack(|handle| {
        let task = handle.spawn(Big::<FUTURE>::new());
        assert_eq!(task.join().unwrap(), 7);
    });
}

#[test]
fn p2_a_large_future_is_spawned_by_a_builder() {
    on_a_small_stack(|handle| {
        let task = handle.task().name("big").spawn(Big::<FUTURE>::new());
        assert_eq!(task.join().unwrap(), 7);
    });
}

#[test]
fn p2_a_large_future_is_tried_from_a_small_stack() {
    on_a_small_stack(|handle| match handle.try_spawn(Big::<FUTURE>::new()) {
        Ok(task) => assert_eq!(task.join().unwrap(), 7),
        Err(SpawnError::Closed(_) | SpawnError::Full(_)) => panic!("it is open"),
    });
}

#[test]
fn g1_a_large_future_is_spawned_into_a_group() {
    on_a_small_stack(|handle| {
        let group = TaskGroup::new(handle);
        group.spawn(Big::<FUTURE>::new());
        let (_, value) = group.join_next().expect("a member");
        assert_eq!(value.unwrap(), 7);
    });
}

#[test]
fn p3_a_large_future_is_spawned_on_the_loop_itself() {
    on_a_small_stack(|handle| {
        let spawned = handle.call(|| sideloop::spawn_local(Big::<FUTURE>::new()).detach());
        spawned.join().unwrap();
        let spawned = handle.call(|| current().spawn(Big::<FUTURE>::new()).detach());
        spawned.join().unwrap();
        let mut executor = Executor::new();
        let task = executor.spawn_local(Big::<FUTURE>::new());
        executor.run_until_idle();
        assert_eq!(task.join().unwrap(), 7);
    });
}

/// P5: the future is made in its place, on the loop's thread, and is not in the frames of its spawner.
#[test]
fn p5_a_future_that_is_made_on_the_loop_takes_none_of_the_callers_stack() {
    limited(|| {
        let side = Builder::new().stack_size(8 << 20).start().expect("it starts");
        let handle = side.handle().clone();
        let tiny = thread::Builder::new().stack_size(64 << 10).spawn(move || {
            let task = handle.spawn_with(Big::<{ 1 << 20 }>::new);
            let named = handle.task().name("made").spawn_with(Big::<{ 1 << 20 }>::new);
            assert_eq!(task.join().unwrap() + named.join().unwrap(), 14);
        });
        tiny.expect("a thread").join().expect("it ends");
    });
    on_a_small_stack(|handle| {
        let task = handle.spawn_with(Big::<FUTURE>::new);
        assert_eq!(task.join().unwrap(), 7);
    });
}

/// P9: what a call has captured, too.
#[test]
fn p9_a_call_with_large_captures_is_made_from_a_small_stack() {
    on_a_small_stack(|handle| {
        let captured = [7_u8; FUTURE / 2];
        assert_eq!(handle.call(move || captured[FUTURE / 2 - 1]).join().unwrap(), 7);
    });
}

#[test]
fn j1_a_large_output_is_joined_on_a_small_stack() {
    on_a_small_stack(|handle| {
        let task = handle.spawn(Yields::<OUTPUT>);
        assert_eq!(task.join().unwrap()[OUTPUT - 1], 7);
    });
}

#[test]
fn j2_a_large_output_is_joined_within_a_limit() {
    on_a_small_stack(|handle| {
        let task = handle.spawn(Yields::<OUTPUT>);
        match task.join_timeout(Duration::MAX) {
            Ok(Ok(value)) => assert_eq!(value[OUTPUT - 1], 7),
            _ => panic!("it ends with a value"),
        }
    });
}

#[test]
fn j1_a_large_output_is_awaited_on_a_small_stack() {
    on_a_small_stack(|handle| {
        let task = handle.spawn(async {
            let inner = current().spawn(Yields::<OUTPUT>);
            inner.await.unwrap()[OUTPUT - 1]
        });
        assert_eq!(task.join().unwrap(), 7);
        let task = handle.spawn(Yields::<OUTPUT>);
        assert_eq!(sideloop::block_on(async { task.await.unwrap()[OUTPUT - 1] }), 7);
    });
}

/// J5: an output that nobody wants is dropped where it is.
#[test]
fn j5_a_large_output_is_dropped_on_a_small_stack() {
    struct Held([u8; OUTPUT]);
    impl Drop for Held {
        fn drop(&mut self) {
            assert_eq!(self.0[OUTPUT - 1], 7);
        }
    }
    struct Makes;
    impl Future for Makes {
        type Output = Held;
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Held> {
            Poll::Ready(Held([7; OUTPUT]))
        }
    }
    on_a_small_stack(|handle| {
        handle.spawn(Makes).detach();
        let late = handle.spawn(Makes);
        while !late.is_finished() {
            thread::yield_now();
        }
        drop(late);
        handle.call(|| ()).join().unwrap();
    });
    let side: LoopThread = loop_started();
    let kept = side.handle().spawn(Makes);
    while !kept.is_finished() {
        thread::yield_now();
    }
    drop(side);
    let small = thread::Builder::new().stack_size(STACK).spawn(move || drop(kept));
    small.expect("a thread").join().expect("it ends");
}
