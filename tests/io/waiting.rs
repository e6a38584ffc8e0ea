//! Who waits for an object, where, and until when.

use std::fs::File;
use std::future::{Future, poll_fn};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{AsyncReadExt, StreamExt};
use sideloop::io::Async;
use sideloop::{block_on, spawn_local, time, yield_now};

use crate::echo::{tcp_pair, udp};
use crate::support::{CountingWaker, join_err, limited, loop_started};

pub(crate) type Pipe = (Async<File>, File);

pub(crate) fn pipe() -> Pipe {
    let (reader, writer) = crate::pipe().expect("a pipe");
    (Async::new(reader).expect("set"), writer)
}

pub(crate) fn is_read(mut reader: &File) -> io::Result<u8> {
    let mut byte = [0];
    reader.read_exact(&mut byte).map(|()| byte[0])
}

/// N3: outside of a loop an operation says so, and what is there has not been touched.
#[test]
fn n3_outside_of_a_loop_an_operation_says_so() {
    let (reader, mut writer) = pipe();
    writer.write_all(b"x").expect("there is room");
    let errors = [
        futures::executor::block_on(reader.readable()).expect_err("no loop"),
        futures::executor::block_on(reader.read_with(is_read)).expect_err("no loop"),
        futures::executor::block_on((&mut &reader).read_with_nothing()).expect_err("no loop"),
    ];
    for error in errors {
        assert_eq!(error.kind(), io::ErrorKind::Other);
        assert!(error.to_string().contains("outside of a sideloop loop"), "{error}");
    }
    assert_eq!(block_on(reader.read_with(is_read)).expect("read"), b'x');
}

trait ReadWithNothing {
    fn read_with_nothing(&mut self) -> impl Future<Output = io::Result<()>>;
}

impl ReadWithNothing for &Async<File> {
    fn read_with_nothing(&mut self) -> impl Future<Output = io::Result<()>> {
        poll_fn(|cx| self.poll_readable(cx))
    }
}

/// N3: a third who waits in a direction replaces nobody, whatever it waits by.
#[test]
fn n3_each_direction_keeps_everybody_who_waits() {
    limited(|| {
        block_on(async {
            let (reader, writer) = pipe();
            let reader = Arc::new(reader);
            let tasks: Vec<_> = (0..5)
                .map(|n| {
                    let reader = reader.clone();
                    spawn_local(async move {
                        match n % 2 {
                            0 => reader.readable().await,
                            _ => poll_fn(|cx| reader.poll_readable(cx)).await,
                        }
                    })
                })
                .collect();
            let others: FuturesUnordered<_> = (0..5).map(|_| reader.readable()).collect();
            let (mut others, mut ended) = (pin!(others), 0);
            poll_fn(|cx| {
                assert!(others.poll_next_unpin(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            yield_now().await;
            drop(writer);
            for task in tasks {
                task.await.expect("no panic").expect("readable");
            }
            while let Some(readable) = others.next().await {
                readable.expect("readable");
                ended += 1;
            }
            assert_eq!(ended, 5);
        });
    });
}

/// N3: so it is of those who poll by hand, with wakers of any kind: each is woken once, however often it polled.
#[test]
fn n3_who_polls_by_hand_is_woken_once() {
    limited(|| {
        block_on(async {
            let (reader, writer) = pipe();
            let wakers: Vec<_> = (0..5).map(|_| CountingWaker::new()).collect();
            for (_, waker) in wakers.iter().chain(&wakers) {
                assert!(reader.poll_readable(&mut Context::from_waker(waker)).is_pending());
            }
            drop(writer);
            reader.readable().await.expect("readable");
            time::sleep(Duration::from_millis(1)).await;
            for (counter, _) in &wakers {
                assert_eq!(counter.count(), 1);
            }
        });
    });
}

/// N3: two tasks wait for one object in different directions, and for both at once.
#[test]
fn n3_both_directions_of_one_object() {
    limited(|| {
        block_on(async {
            let (one, two) = Async::<UnixStream>::pair().expect("a pair");
            let one = Arc::new(one);
            while one.get_ref().write(&[0; 4096]).is_ok() {}
            let (reads, writes) = (one.clone(), one.clone());
            let reading = spawn_local(async move { reads.readable().await });
            let writing = spawn_local(async move { writes.writable().await });
            yield_now().await;
            time::sleep(Duration::from_millis(1)).await;
            assert!(!reading.is_finished() && !writing.is_finished());
            two.get_ref().write_all(b"x").expect("there is room");
            reading.await.expect("no panic").expect("readable");
            assert!(!writing.is_finished());
            while two.get_ref().read(&mut [0; 4096]).is_ok() {}
            writing.await.expect("no panic").expect("writable");
        });
    });
}

/// N3: readiness is that of the moment: what was read is not readable any more, and what was left is.
#[test]
fn n3_readable_means_that_there_is_something_now() {
    limited(|| {
        block_on(async {
            let (reader, mut writer) = pipe();
            writer.write_all(b"ab").expect("there is room");
            for left in [b'a', b'b'] {
                reader.readable().await.expect("there is one more");
                assert_eq!(is_read(reader.get_ref()).expect("read"), left);
            }
            let mut readable = pin!(reader.readable());
            assert!(poll_fn(|cx| Poll::Ready(readable.as_mut().poll(cx).is_pending())).await);
            writer.write_all(b"c").expect("there is room");
            readable.await.expect("readable");
            let limit = Duration::from_secs(10);
            time::timeout(limit, reader.readable())
                .await
                .expect("at once")
                .expect("still readable");
        });
    });
}

/// N4: what waits may be dropped at any time: nothing is lost, and the next call goes on.
#[test]
fn n4_an_operation_that_is_dropped_loses_nothing() {
    limited(|| {
        block_on(async {
            let (reader, mut writer) = pipe();
            for _ in 0..100 {
                let limited = time::timeout(Duration::ZERO, reader.read_with(is_read));
                assert!(limited.await.is_err());
                assert!(time::timeout(Duration::ZERO, reader.readable()).await.is_err());
            }
            writer.write_all(b"x").expect("there is room");
            assert_eq!(reader.read_with(is_read).await.expect("read"), b'x');
        });
    });
}

/// N3: a task that is cancelled while it waits closes what it owns; nobody is woken for it.
#[test]
fn n3_cancelling_a_task_closes_its_object() {
    limited(|| {
        let side = loop_started();
        let (reader, mut writer) = pipe();
        let task = side.handle().spawn(async move { reader.readable().await });
        while side.handle().metrics().io_waits == 0 {}
        task.abort();
        join_err(task);
        assert_eq!(writer.write(b"x").expect_err("closed").kind(), io::ErrorKind::BrokenPipe);
    });
}

/// N3: an object that is forgotten, or whose task is, harms nobody; nor does a future that is polled once and then left.
#[test]
fn n3_forgotten_objects_and_futures() {
    limited(|| {
        block_on(async {
            let (reader, mut writer) = pipe();
            let reader = std::mem::ManuallyDrop::new(reader);
            let mut readable = std::mem::ManuallyDrop::new(reader.readable());
            let mut poll = |cx: &mut Context<'_>| pin!(&mut *readable).poll(cx).is_pending();
            assert!(poll_fn(|cx| Poll::Ready(poll(cx))).await);
            writer.write_all(b"x").expect("there is room");
            let (other, mut others) = pipe();
            let reading = spawn_local(async move { other.read_with(is_read).await });
            yield_now().await;
            others.write_all(b"y").expect("there is room");
            assert_eq!(reading.await.expect("no panic").expect("read"), b'y');
        });
    });
}

/// N3: a descriptor that is used anew belongs to its new owner alone: no event of the old one reaches it, not even where
/// the old object is open by another name.
#[test]
fn n3_no_event_reaches_a_later_owner_of_the_descriptor() {
    limited(|| {
        block_on(async {
            let (one, mut two) = tcp_pair().await;
            let duplicate = one.get_ref().try_clone().expect("a descriptor");
            let number = one.as_raw_fd();
            assert!(time::timeout(Duration::ZERO, one.readable()).await.is_err());
            drop(one);
            let later = Async::new(udp().into_inner().expect("out")).expect("set");
            let (waker, counter) = waker();
            if later.as_raw_fd() == number {
                assert!(later.poll_readable(&mut Context::from_waker(&waker)).is_pending());
            }
            futures::AsyncWriteExt::write_all(&mut two, b"x").await.expect("sent");
            time::sleep(Duration::from_millis(2)).await;
            assert_eq!(counter.count(), 0, "an event of the one before");
            drop(duplicate);
        });
    });
}

fn waker() -> (Waker, Arc<crate::support::CountingWaker>) {
    let (counter, waker) = CountingWaker::new();
    (waker, counter)
}

/// N5: what cannot be waited for is the error of the wait; what does not block works all the same.
#[test]
fn n5_a_file_cannot_be_waited_for() {
    limited(|| {
        block_on(async {
            let file = std::fs::File::open(std::env::current_exe().expect("a path")).expect("open");
            let mut file = Async::new(file).expect("set");
            assert_eq!(file.read(&mut [0; 16]).await.expect("read"), 16);
            let error = file.read_with(|_| Err::<(), _>(io::ErrorKind::WouldBlock.into())).await;
            assert_eq!(error.expect_err("a file").kind(), io::ErrorKind::PermissionDenied);
            let (reader, writer) = pipe();
            drop(writer);
            reader.readable().await.expect("the loop is as it was");
        });
    });
}

/// N3: `into_inner` gives the object back, registered nowhere; it can be wrapped anew.
#[test]
fn n3_into_inner_and_back() {
    limited(|| {
        block_on(async {
            let (mut reader, mut writer) = pipe();
            for n in 0..10 {
                assert!(time::timeout(Duration::ZERO, reader.readable()).await.is_err());
                reader = Async::new_nonblocking(reader.into_inner().expect("out")).expect("in");
                writer.write_all(&[n]).expect("there is room");
                assert_eq!(reader.read_with(is_read).await.expect("read"), n);
            }
            assert!(reader.as_fd().as_raw_fd() >= 0);
        });
    });
}

/// N3: thousands who wait for one object and give up leave nothing behind, and are not kept by an object that is never
/// ready.
#[test]
fn n3_those_who_give_up_are_forgotten() {
    limited(|| {
        block_on(async {
            let (reader, writer) = pipe();
            let reader = Arc::new(reader);
            for _ in 0..20_000 {
                let waiting = reader.clone();
                let task =
                    spawn_local(async move { poll_fn(|cx| waiting.poll_readable(cx)).await });
                yield_now().await;
                task.abort();
            }
            for _ in 0..5000 {
                let (counter, waker) = CountingWaker::new();
                assert!(reader.poll_readable(&mut Context::from_waker(&waker)).is_pending());
                drop((counter, waker));
            }
            drop(writer);
            reader.readable().await.expect("readable");
        });
    });
}
