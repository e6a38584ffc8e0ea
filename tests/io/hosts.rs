//! Executors that a host drives, and virtual time.

use std::future::poll_fn;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sideloop::io::Async;
use sideloop::{Builder, Executor, Handle, JoinHandle, time};

use crate::support::limited;

/// A waker of a task that waits for it.
pub(crate) fn waker_of(handle: &Handle) -> (Waker, JoinHandle<()>) {
    let (send, receive) = std::sync::mpsc::channel();
    let task = handle.spawn(poll_fn(move |cx| {
        let _ = send.send(cx.waker().clone());
        Poll::Pending
    }));
    (receive.recv().expect("it was polled"), task)
}

/// Whether the descriptor of the executor is readable within `limit`.
fn is_readable(executor: &Executor, limit: Duration) -> bool {
    let limit = Timespec::try_from(limit).expect("short");
    let fd = executor.try_fd().expect("it has one");
    poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&limit)).expect("polled") > 0
}

fn until_idle(executor: &mut Executor) -> usize {
    let mut polls = 0;
    loop {
        let turn = executor.turn();
        polls += turn.polls;
        if turn.idle {
            return polls;
        }
    }
}

/// G2, N1: the descriptor of an executor is readable when there is something to do, by whatever: a submission, a wake, a
/// local spawn, readiness; and not else.
#[cfg(target_os = "linux")]
#[test]
fn g2_a_host_waits_for_the_descriptor_alone() {
    limited(|| {
        let hooked = Arc::new(AtomicUsize::new(0));
        let calls = hooked.clone();
        let mut executor =
            Builder::new().on_wake(move || _ = calls.fetch_add(1, Ordering::SeqCst)).build();
        let (none, long) = (Duration::ZERO, Duration::from_secs(10));
        assert!(is_readable(&executor, none), "the first call asks for a turn");
        until_idle(&mut executor);
        assert!(!is_readable(&executor, none));
        let handle = executor.handle().clone();
        let call = thread::spawn(move || handle.call(|| 1)).join().expect("sent");
        assert!(is_readable(&executor, long));
        until_idle(&mut executor);
        assert_eq!(call.join().expect("it ran"), 1);
        assert!(!is_readable(&executor, none));
        let local = executor.spawn_local(async { 2 });
        assert!(is_readable(&executor, long), "a spawn outside of the run");
        until_idle(&mut executor);
        assert!(local.is_finished() && !is_readable(&executor, none));
        let (one, mut two) = UnixStream::pair().expect("a pair");
        let reading = executor
            .spawn_local(async move { Async::new(one).expect("set").read(&mut [0; 8]).await });
        until_idle(&mut executor);
        assert!(!reading.is_finished() && !is_readable(&executor, none));
        two.write_all(b"abc").expect("there is room");
        assert!(is_readable(&executor, long));
        assert!(until_idle(&mut executor) > 0);
        assert!(reading.is_finished() && !is_readable(&executor, none));
        assert!(hooked.load(Ordering::SeqCst) > 0);
    });
}

/// G2: what comes in at the end of a run until idle is done in it, or told by the descriptor.
#[cfg(target_os = "linux")]
#[test]
fn g2_a_run_until_idle_takes_no_ring_without_what_it_tells() {
    limited(|| {
        let mut executor = Executor::new();
        assert!(is_readable(&executor, Duration::ZERO), "the first call asks for a turn");
        let (ask, asked) = std::sync::mpsc::channel::<()>();
        let (handle, done) = (executor.handle().clone(), Arc::new(AtomicUsize::new(0)));
        let count = done.clone();
        let sender = thread::spawn(move || {
            while asked.recv().is_ok() {
                let count = count.clone();
                handle.call(move || count.fetch_add(1, Ordering::SeqCst)).detach();
            }
        });
        for n in 0..20_000 {
            ask.send(()).expect("it listens");
            executor.run_until_idle();
            while done.load(Ordering::SeqCst) == n {
                assert!(is_readable(&executor, Duration::from_secs(10)), "nobody tells of {n}");
                executor.run_until_idle();
            }
        }
        drop(ask);
        sender.join().expect("it ends");
    });
}

/// G2: what comes in while the descriptor is made is not lost between the two bells.
#[cfg(target_os = "linux")]
#[test]
fn g2_a_descriptor_that_is_made_late_tells_of_what_came_before() {
    limited(|| {
        for _ in 0..200 {
            let mut executor = Executor::new();
            assert!(executor.turn().idle);
            let handle = executor.handle().clone();
            let sender = thread::spawn(move || handle.call(|| ()));
            let task = loop {
                assert!(is_readable(&executor, Duration::from_secs(10)));
                until_idle(&mut executor);
                if sender.is_finished() {
                    break sender.join().expect("sent");
                }
                if executor.handle().metrics().spawned == 1 {
                    break sender.join().expect("sent");
                }
            };
            while !task.is_finished() {
                assert!(is_readable(&executor, Duration::from_secs(10)), "it came after the turn");
                until_idle(&mut executor);
            }
        }
    });
}

/// N2: `run_until_idle` is not done while something is ready that a task waits for; a block_on on the same loop neither.
#[test]
fn n2_run_until_idle_sees_what_is_ready() {
    limited(|| {
        let mut executor = Executor::new();
        let (mut one, mut two) = Async::<UnixStream>::pair().expect("a pair");
        let reading = executor
            .spawn_local(async move { two.read(&mut [0; 8]).await.map(|read| (read, two)) });
        executor.run_until_idle();
        let writing =
            executor.spawn_local(async move { one.write_all(b"abc").await.map(|()| one) });
        executor.run_until_idle();
        assert!(reading.is_finished() && writing.is_finished());
        let deadline = executor.next_deadline();
        assert_eq!(deadline, None);
    });
}

/// N6: virtual time does not jump over what is ready, however short the way to it.
#[test]
fn n6_readiness_comes_before_a_jump() {
    limited(|| {
        let mut executor = Builder::new().virtual_time(7).build();
        let day = Duration::from_secs(24 * 3600);
        executor.block_on(async {
            let begun = time::now();
            let (mut one, mut two) = Async::<UnixStream>::pair().expect("a pair");
            let echo = sideloop::spawn_local(async move {
                let mut byte = [0];
                while two.read(&mut byte).await.expect("read") > 0 {
                    two.write_all(&byte).await.expect("written");
                }
            });
            for n in 0..100 {
                let asking = async {
                    one.write_all(&[n]).await.expect("written");
                    one.read_exact(&mut [0]).await
                };
                time::timeout(day, asking).await.expect("before the day is over").expect("read");
            }
            assert_eq!(time::now(), begun, "no time has passed");
            time::timeout(day, one.read(&mut [0])).await.expect_err("nothing comes");
            assert_eq!(time::now(), begun + day);
            drop(one);
            echo.await.expect("it ends");
        });
    });
}

/// N6: so it is when the clock is moved step by step, and where nothing but I/O is waited for the loop sleeps.
#[test]
fn n6_advance_polls_what_is_ready_at_each_deadline() {
    limited(|| {
        let mut executor = Builder::new().virtual_time(0).build();
        let (mut one, mut two) = Async::<UnixStream>::pair().expect("a pair");
        let hour = Duration::from_secs(3600);
        let writing = executor.spawn_local(async move {
            for _ in 0..3 {
                time::sleep(hour).await;
                one.write_all(b"x").await.expect("written");
            }
        });
        let reading = executor.spawn_local(async move {
            let (begun, mut at) = (time::now(), Vec::new());
            while two.read(&mut [0; 8]).await.expect("read") > 0 {
                at.push(time::now() - begun);
            }
            at
        });
        executor.advance(5 * hour);
        assert!(writing.is_finished());
        assert_eq!(executor.block_on(reading).expect("it ends"), [hour, 2 * hour, 3 * hour]);
        let (mut reader, mut writer) = UnixStream::pair().expect("a pair");
        let waiting = executor.spawn_local({
            let reader = reader.try_clone().expect("a descriptor");
            async move { Async::new(reader).expect("set").readable().await }
        });
        let other = thread::spawn(move || {
            writer.write_all(b"y").expect("there is room");
            writer
        });
        executor.block_on(waiting).expect("no panic").expect("readable");
        reader.set_nonblocking(false).expect("set");
        reader.read_exact(&mut [0]).expect("it is there");
        drop(other.join());
    });
}
