//! That the hot paths make no system call: they run on a thread that the kernel would end at its first.
//!
//! In the strict mode of seccomp a thread may read, write and end; any other call ends it there and then.
//! What a thread has done by its end says whether it made one. Reading the clock is none where the kernel
//! lends its data to the process, and where it does not time is virtual.

#![cfg(all(target_os = "linux", not(loom), not(sideloop_plain_memory)))]
#![allow(unsafe_code)] // prctl

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::path::PathBuf;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};
use std::{fs, hint, mem, sync::mpsc, thread};

use sideloop::{
    Builder, Executor, Handle, JoinHandle, LoopThread, TaskGroup, current, spawn_local, time,
    yield_now,
};

// SAFETY: the function of the C library that std links, with its signature.
unsafe extern "C" {
    fn prctl(option: i32, argument: usize, ...) -> i32;
}

/// How far a thread has come.
const PREPARED: usize = 1;
const CONFINED: usize = 2;
const DONE: usize = 3;

/// Enters the strict mode of seccomp: `PR_SET_SECCOMP`, `SECCOMP_MODE_STRICT`.
fn confine() -> bool {
    // SAFETY: it takes numbers, and changes what this thread may ask of the kernel, nothing else.
    unsafe { prctl(22, 1) == 0 }
}

/// Whether `f` runs to its end without a system call, after `prepare`, on a thread of its own; `None`
/// where the kernel has no such mode. The thread never ends well, and takes its memory with it.
fn is_quiet<T>(
    prepare: impl FnOnce() -> T + Send + 'static,
    f: impl FnOnce(&mut T) + Send + 'static,
) -> Option<bool> {
    let come = Arc::new(AtomicUsize::new(0));
    let (there, (tell, told)) = (come.clone(), mpsc::channel());
    thread::spawn(move || {
        let mut prepared = prepare();
        tell.send(fs::read_link("/proc/thread-self").expect("proc is mounted")).expect("awaited");
        there.store(PREPARED, Ordering::Release);
        if confine() {
            there.store(CONFINED, Ordering::Release);
            f(&mut prepared);
            there.store(DONE, Ordering::Release);
        }
        mem::forget(prepared);
        // A call that is not allowed: the end of a thread that is confined.
        thread::yield_now();
    });
    let place = PathBuf::from("/proc").join(told.recv().expect("it is prepared"));
    while place.exists() {
        hint::spin_loop();
    }
    match come.load(Ordering::Acquire) {
        DONE => Some(true),
        CONFINED => Some(false),
        _ => None,
    }
}

/// What one task does on its loop's thread.
async fn everything() {
    let spawned: Vec<_> = (0..10).map(|n| spawn_local(async move { n })).collect();
    for task in spawned {
        task.await.expect("it ends");
    }
    (0..10).for_each(|_| spawn_local(yield_now()).detach());
    yield_now().await;
    (0..10).for_each(|_| drop(spawn_local(async {})));
    yield_now().await;
    wake_each_other().await;
    for how in [JoinHandle::abort, JoinHandle::cancel] {
        let task = spawn_local(pending::<()>());
        yield_now().await;
        let _ = how(&task);
        assert!(task.await.is_err());
    }
    let task = spawn_local(pending::<()>());
    assert!(!current().tasks().await.expect("it ran").is_empty());
    let _ = current().abort(task.id()).await;
    let mut sleep = pin!(time::sleep(Duration::from_secs(3600)));
    poll_fn(|cx| Poll::Ready(sleep.as_mut().poll(cx).is_pending())).await;
    sleep.as_mut().reset(time::now() + Duration::from_secs(60));
    assert!(time::timeout(Duration::from_secs(60), yield_now()).await.is_ok());
    time::sleep(Duration::ZERO).await;
    time::interval(Duration::from_secs(60)).expect("a period").tick().await; // the first, which is due
    let group = TaskGroup::new(&current());
    (0..10).for_each(|n| _ = group.spawn_local(async move { n }));
    while group.next().await.is_some() {}
}

/// Two tasks, each woken by the other.
async fn wake_each_other() {
    let turn = Rc::new(Cell::new((0, None)));
    let player = |me: u32| {
        let turn = turn.clone();
        poll_fn(move |cx| {
            let (at, other) = turn.take();
            turn.set((at + 1, Some(cx.waker().clone())));
            let _: Option<()> = other.map(Waker::wake);
            if at > 10 + me { Poll::Ready(()) } else { Poll::Pending }
        })
    };
    let both = [spawn_local(player(0)), spawn_local(player(1))];
    for task in both {
        task.await.expect("it ends");
    }
}

fn run(executor: &mut Executor, times: usize) {
    let _ = executor.turn(); // which finds nothing
    for _ in 0..times {
        let task = executor.spawn_local(everything());
        executor.block_on(task).expect("nothing panics");
    }
}

/// A waker that its task keeps no other of, and the task.
fn waits(handle: &Handle) -> (Waker, JoinHandle<()>) {
    let (send, receive) = mpsc::channel();
    let task = handle.spawn(poll_fn(move |cx| {
        let _ = send.send(cx.waker().clone());
        Poll::Pending
    }));
    (receive.recv().expect("it was polled"), task)
}

/// What another thread does to a loop that is awake.
struct Sender {
    side: LoopThread,
    wakers: Vec<(Waker, JoinHandle<()>)>,
    finished: Vec<JoinHandle<usize>>,
    /// The loop is held up until this is dropped: awake, but taking nothing in.
    _held_up: mpsc::Sender<()>,
}

fn sender() -> Sender {
    let side = LoopThread::start().expect("a thread");
    let handle = side.handle();
    let wakers = (0..100).map(|_| waits(handle)).collect();
    let finished: Vec<_> = (0..100).map(|n| handle.call(move || n)).collect();
    handle.call(|| ()).join().expect("behind all of these");
    let (held_up, until) = mpsc::channel::<()>();
    let (begin, begun) = mpsc::channel();
    handle.call(move || (begin.send(()), until.recv().is_err())).detach();
    begun.recv().expect("the loop is awake");
    // Memory for what is to come, on this thread.
    drop((0..1000).map(|_| Box::new([0_u8; 256])).collect::<Vec<_>>());
    Sender { side, wakers, finished, _held_up: held_up }
}

fn send(sender: &mut Sender) {
    let handle = sender.side.handle();
    for n in 0..100 {
        handle.call(move || n).detach();
        handle.spawn(async {}).detach();
    }
    for (waker, task) in &sender.wakers {
        waker.wake_by_ref();
        waker.wake_by_ref();
        drop(waker.clone());
        let _ = task.cancel();
    }
    for task in sender.finished.drain(..) {
        assert!(task.is_finished());
        task.join().expect("it has ended");
    }
}

#[test]
fn hot_paths_make_no_system_call() {
    let Some(noticed) = is_quiet(|| (), |_| thread::yield_now()) else {
        return println!("skipped: this kernel confines nobody");
    };
    assert!(!noticed, "a system call goes unnoticed");
    assert_eq!(is_quiet(|| (), |_| ()), Some(true), "no call is noticed");
    let has_clock = is_quiet(Instant::now, |begun| _ = begun.elapsed()) == Some(true);
    let executor = move || {
        let builder = if has_clock { Builder::new() } else { Builder::new().virtual_time(0) };
        let mut executor = builder.build();
        run(&mut executor, 20);
        executor
    };
    assert_eq!(is_quiet(executor, |executor| run(executor, 100)), Some(true), "on the loop");
    assert_eq!(is_quiet(sender, send), Some(true), "to a loop that is awake");
}
