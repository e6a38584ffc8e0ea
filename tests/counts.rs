//! How often the hot paths call the allocator: counted, operation by operation, when the loop is warm.
//!
//! A test binary of its own, for its counting allocator, with one test, so that nothing else runs beside it.

#![cfg(all(not(loom), not(sideloop_plain_memory)))]
#![allow(unsafe_code)] // an allocator

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::time::Duration;

use sideloop::{
    Builder, Executor, Handle, JoinHandle, LoopThread, TaskGroup, current, spawn_local, time,
    yield_now,
};

const SHORT: Duration = Duration::from_millis(1);

/// The system's allocator; counts the calls of each thread that takes memory.
struct Counting;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    CALLS.with(|calls| calls.set(calls.get() + 1));
}

// SAFETY: everything is passed on to the system's allocator, as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(place, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// How often `f` takes memory on this thread.
fn calls(f: impl FnOnce()) -> u64 {
    let before = CALLS.get();
    f();
    CALLS.get() - before
}

/// How often the tenth of ten runs takes memory: what is kept for the next time is there by then.
async fn warm<F: Future>(mut f: impl FnMut() -> F) -> u64 {
    for _ in 0..9 {
        f().await;
    }
    let before = CALLS.get();
    f().await;
    CALLS.get() - before
}

/// A task that is woken through a channel of wakers and counts to its end.
struct Wakes(u32);

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

async fn on_the_loops_thread() {
    let batch = || async {
        for _ in 0..100 {
            spawn_local(yield_now()).detach();
        }
        for _ in 0..10 {
            yield_now().await; // until all of them have ended
        }
    };
    assert_eq!(warm(batch).await, 0, "spawn, poll, yield, complete, detach");
    let wakes = || async { spawn_local(Wakes(1000)).await.expect("it ends") };
    assert_eq!(warm(wakes).await, 0, "a thousand local wakes, and a join");
    let aborts = || async {
        let task = spawn_local(std::future::pending::<()>());
        yield_now().await;
        task.abort();
        assert!(task.await.is_err());
    };
    assert_eq!(warm(aborts).await, 0, "abort and join");
    let cancels = || async {
        let task = spawn_local(std::future::pending::<()>());
        yield_now().await;
        task.cancel();
        assert!(task.await.is_err());
    };
    assert_eq!(warm(cancels).await, 0, "cancel and join");
    let group = TaskGroup::new(&current());
    let members = || async {
        (0..10).for_each(|n| _ = group.spawn_local(async move { n }));
        while group.next().await.is_some() {}
    };
    assert_eq!(warm(members).await, 21, "ten members of a group: two blocks for each, one for all");
    assert_eq!(warm(timers).await, 0, "sleeps armed, moved, cancelled and fired");
    asked_of_the_loop().await;
}

async fn asked_of_the_loop() {
    let by_id = || async {
        let task = spawn_local(std::future::pending::<()>());
        yield_now().await;
        drop(current().abort(task.id()));
        assert!(task.await.is_err());
    };
    let listed = || async { assert_eq!(current().tasks().await.expect("it runs").len(), 1) };
    let mut interval = time::interval(Duration::from_micros(10)).expect("a period");
    let counts = [warm(by_id).await, warm(listed).await];
    assert_eq!(counts, [1, 4], "abort by id, and join; a list of the only task");
    for _ in 0..9 {
        interval.tick().await;
    }
    let before = CALLS.get();
    interval.tick().await;
    assert_eq!(CALLS.get() - before, 0, "a tick");
}

/// Arms, moves, cancels and fires timers.
async fn timers() {
    for _ in 0..10 {
        let mut sleep = pin!(time::sleep(Duration::from_secs(3600)));
        poll_fn(|cx| Poll::Ready(sleep.as_mut().poll(cx).is_pending())).await;
        sleep.as_mut().reset(time::now() + Duration::from_secs(60));
    }
    assert!(time::timeout(Duration::from_secs(60), yield_now()).await.is_ok());
    time::sleep(Duration::ZERO).await;
}

/// A hundred timers, some of them equal, that are filed, put in order and fired, with tasks that wait.
async fn fires() {
    for n in 0..100_u64 {
        let sleep = time::sleep(Duration::from_micros(1 + n * n % 31 * 30));
        spawn_local(sleep).detach();
    }
    time::sleep(Duration::from_millis(1)).await;
}

fn from_another_thread() {
    let side = LoopThread::start().expect("starts");
    let handle = side.handle();
    handle.call(|| ()).join().expect("it runs");
    let (mut call, mut done) = (None, None);
    assert_eq!(calls(|| handle.spawn(async {}).detach()), 1, "a spawn: the task is the message");
    assert_eq!(calls(|| call = Some(handle.call(|| ()))), 1, "a call, which is a spawn");
    let call = call.expect("it was made");
    while !call.is_finished() {
        std::thread::yield_now();
    }
    assert_eq!(calls(|| done = Some(call.join())), 0, "a join of what has ended");
    assert!(done.is_some_and(|result| result.is_ok()));
    let (send, receive) = mpsc::channel();
    let task: JoinHandle<()> = handle.spawn(poll_fn(move |cx| {
        send.send(cx.waker().clone()).expect("it is awaited");
        Poll::Pending
    }));
    let waker = receive.recv().expect("it was polled");
    assert_eq!(calls(|| (0..1000).for_each(|_| waker.wake_by_ref())), 0, "remote wakes");
    assert_eq!(calls(|| drop(waker.clone())), 0, "wakers");
    let cancels = calls(|| {
        let _ = task.cancel();
    });
    assert_eq!(cancels, 0, "a cancel");
    assert!(task.join().is_err());
    blocking_joins(handle);
}

/// Joins that come too early, and leave a waker to be woken by.
fn blocking_joins(handle: &Handle) {
    let early = |task: JoinHandle<()>| {
        let mut task = Some(task);
        let count = calls(|| task = task.take().expect("it is there").join_timeout(SHORT).err());
        (count, task.expect("it never ends"))
    };
    let tasks = [(); 2].map(|()| handle.spawn(std::future::pending::<()>()));
    let [first, second] = tasks;
    early(first); // what its thread waits with is made, and kept for the next time
    let (count, second) = early(second);
    assert_eq!(count, 1, "a block for the waker of a thread");
    assert_eq!(early(second).0, 0, "which is there already");
}

#[test]
fn hot_paths_take_no_memory_and_a_remote_spawn_one_block() {
    // In a task: a join by a foreign waker, such as that of `block_on`, takes a block to keep it in.
    let counted = async { spawn_local(on_the_loops_thread()).await };
    sideloop::block_on(counted).expect("nothing panics");
    let mut virtually = Builder::new().virtual_time(0).build();
    let fires = virtually.block_on(async { spawn_local(warm(fires)).await });
    assert_eq!(fires.expect("nothing panics"), 0, "timers that fire");
    from_another_thread();
    let mut executor = Builder::new().build();
    let spawn = |executor: &mut Executor| calls(|| executor.spawn_local(async {}).detach());
    spawn(&mut executor); // makes room in the registry
    assert_eq!(spawn(&mut executor), 1, "a task on a cold loop");
    executor.run_until_idle();
    executor.block_on(async {});
    assert_eq!(calls(|| executor.block_on(async {})), 1, "a run that is over at once");
    assert_eq!(calls(|| _ = executor.turn()), 0, "an idle turn");
}
