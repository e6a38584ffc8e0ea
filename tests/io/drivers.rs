//! Drivers of the user's: used by the same rules, and none of their failures is the loop's.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::Waker;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sideloop::io::{Async, Direction, Driver};
use sideloop::{Builder, Executor, Shutdown, StartError, time};

use crate::support::{join_ok, limited};

/// What a driver is told to do, and has done.
#[derive(Default)]
struct Plan {
    fails: AtomicBool,
    wait_fails: AtomicBool,
    panics: AtomicBool,
    waits: AtomicUsize,
    looks: AtomicUsize,
    drops: AtomicUsize,
}

impl Plan {
    fn follow(&self) -> io::Result<()> {
        assert!(!self.panics.load(Ordering::SeqCst), "as planned");
        if self.fails.load(Ordering::SeqCst) { Err(io::Error::other("as planned")) } else { Ok(()) }
    }
}

/// A driver by `poll`, with a pipe for a bell.
struct Poller {
    plan: Arc<Plan>,
    bell: (File, Arc<File>),
    asked: Vec<(OwnedFd, Direction, Waker)>,
}

impl Poller {
    fn make(plan: &Arc<Plan>) -> impl FnOnce() -> io::Result<Self> + Send + use<> {
        let plan = plan.clone();
        move || {
            let (reader, writer) = crate::pipe()?;
            rustix::io::ioctl_fionbio(&reader, true)?;
            Ok(Self { plan, bell: (reader, Arc::new(writer)), asked: Vec::new() })
        }
    }

    fn poll(&mut self, limit: Option<Duration>) -> io::Result<()> {
        let limit = limit.map(|limit| Timespec::try_from(limit).expect("short"));
        let mut fds = vec![PollFd::new(&self.bell.0, PollFlags::IN)];
        for (object, direction, _) in &self.asked {
            let flags = if *direction == Direction::Read { PollFlags::IN } else { PollFlags::OUT };
            fds.push(PollFd::new(object, flags));
        }
        poll(&mut fds, limit.as_ref())?;
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        while self.bell.0.read(&mut [0; 64]).is_ok() {}
        let mut at = 0;
        self.asked.retain(|(_, _, waker)| {
            at += 1;
            if ready[at] {
                waker.wake_by_ref();
            }
            !ready[at]
        });
        Ok(())
    }
}

impl Driver for Poller {
    type Bell = Box<dyn Fn() + Send + Sync>;

    fn bell(&self) -> Self::Bell {
        let writer = self.bell.1.clone();
        let plan = self.plan.clone();
        Box::new(move || {
            let _ = (&*writer).write(b"x");
            assert!(!plan.panics.load(Ordering::SeqCst), "as planned");
        })
    }

    fn look(&mut self) -> io::Result<()> {
        self.plan.looks.fetch_add(1, Ordering::SeqCst);
        self.plan.follow()?;
        self.poll(Some(Duration::ZERO))
    }

    fn wait(&mut self, until: Option<Instant>) -> io::Result<()> {
        self.plan.waits.fetch_add(1, Ordering::SeqCst);
        self.plan.follow()?;
        if self.plan.wait_fails.load(Ordering::SeqCst) {
            return Err(io::Error::other("as planned"));
        }
        self.poll(until.map(|at| at.saturating_duration_since(Instant::now())))
    }

    fn register(
        &mut self,
        object: BorrowedFd<'_>,
        direction: Direction,
        waker: Waker,
    ) -> io::Result<()> {
        self.plan.follow()?;
        self.asked.push((object.try_clone_to_owned()?, direction, waker));
        Ok(())
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.plan.drops.fetch_add(1, Ordering::SeqCst);
        assert!(!self.plan.panics.load(Ordering::SeqCst), "as planned");
    }
}

fn pipe() -> (Async<File>, File) {
    let (reader, writer) = crate::pipe().expect("a pipe");
    (Async::new(reader).expect("set"), writer)
}

fn is_read(mut reader: &File) -> io::Result<u8> {
    let mut byte = [0];
    reader.read_exact(&mut byte).map(|()| byte[0])
}

/// N7: a loop with a driver of the user's sleeps there from the start, for wakes, timers and objects; it is made, and
/// dropped, on the loop's thread.
#[test]
fn n7_a_driver_of_the_users_serves_wakes_timers_and_objects() {
    limited(|| {
        let plan = Arc::new(Plan::default());
        let side = Builder::new().driver(Poller::make(&plan)).start().expect("a thread");
        let handle = side.handle();
        assert_eq!(join_ok(handle.call(|| 1)), 1);
        assert!(plan.waits.load(Ordering::SeqCst) > 0);
        join_ok(handle.spawn(async { time::sleep(Duration::from_millis(2)).await }));
        let (reader, mut writer) = pipe();
        let reader = Arc::new(reader);
        let polls = handle.metrics().polls;
        let both: Vec<_> = (0..2)
            .map(|_| {
                let reader = reader.clone();
                handle.spawn(async move {
                    let mut all = 0;
                    for _ in 0..50 {
                        all += u32::from(reader.read_with(is_read).await.expect("read"));
                    }
                    all
                })
            })
            .collect();
        while handle.metrics().polls < polls + 2 {}
        for _ in 0..100 {
            writer.write_all(&[1]).expect("there is room");
        }
        assert_eq!(both.into_iter().map(join_ok).sum::<u32>(), 100);
        assert!(handle.metrics().io_events > 0);
        let handle = handle.clone();
        side.shutdown(Shutdown::now());
        assert_eq!(plan.drops.load(Ordering::SeqCst), 1);
        drop(handle);
    });
}

/// N5: whoever waits for I/O gets the error of a driver that fails, once; timers and wakes go on, without a spin; and the
/// driver is tried again.
#[test]
fn n5_a_driver_that_fails_ends_no_loop() {
    for panics in [false, true] {
        limited(move || {
            let plan = Arc::new(Plan::default());
            let side = Builder::new().driver(Poller::make(&plan)).start().expect("a thread");
            let handle = side.handle();
            let (reader, mut writer) = pipe();
            let reader = Arc::new(reader);
            let there = reader.clone();
            let failing = handle.spawn(async move { there.read_with(is_read).await });
            while handle.metrics().io_waits == 0 {}
            let fault = if panics { &plan.panics } else { &plan.fails };
            fault.store(true, Ordering::SeqCst);
            handle.call(|| ()).detach();
            let error = join_ok(failing).expect_err("the driver fails");
            assert_eq!(error.kind(), io::ErrorKind::Other);
            assert!(error.to_string().contains("as planned"), "{error}");
            join_ok(handle.spawn(async { time::sleep(Duration::from_millis(5)).await }));
            let before = plan.waits.load(Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(20));
            let spun = plan.waits.load(Ordering::SeqCst) - before;
            assert!(spun <= 1, "{spun} waits of a driver that fails, and nothing happened");
            fault.store(false, Ordering::SeqCst);
            let again = handle.spawn(async move { reader.read_with(is_read).await });
            writer.write_all(b"x").expect("there is room");
            assert_eq!(join_ok(again).expect("read"), b'x');
        });
    }
}

/// N5: a task that goes on waiting whatever it is told does not keep the loop busy while the driver fails.
#[test]
fn n5_who_waits_again_at_once_does_not_spin() {
    limited(|| {
        let plan = Arc::new(Plan::default());
        let side = Builder::new().driver(Poller::make(&plan)).start().expect("a thread");
        let (reader, _writer) = pipe();
        let told = Arc::new(AtomicUsize::new(0));
        let counted = told.clone();
        let waiting = side.handle().spawn(async move {
            while reader.readable().await.is_err() {
                counted.fetch_add(1, Ordering::SeqCst);
                if counted.load(Ordering::SeqCst) > 1000 {
                    return;
                }
            }
        });
        while side.handle().metrics().io_waits == 0 {}
        plan.wait_fails.store(true, Ordering::SeqCst);
        for _ in 0..5 {
            join_ok(side.handle().call(|| ()));
        }
        std::thread::sleep(Duration::from_millis(10));
        assert!(told.load(Ordering::SeqCst) <= 1000, "{told:?}");
        waiting.abort();
    });
}

/// N7: a driver that cannot be made, or whose making panics, is a failure of the start, and leaves nothing.
#[test]
fn n7_a_driver_that_cannot_be_made_is_a_failure_of_the_start() {
    fn fails() -> io::Result<Poller> {
        Err(io::Error::other("no device"))
    }
    fn panics() -> io::Result<Poller> {
        panic!("no device")
    }
    let failed = Builder::new().driver(fails).start().map(drop);
    assert!(matches!(failed, Err(StartError::Init(error)) if error.to_string() == "no device"));
    let failed = Builder::new().driver(fails).try_build().map(drop);
    assert!(matches!(failed, Err(StartError::Init(_))));
    for failed in [
        Builder::new().driver(panics).start().map(drop),
        Builder::new().driver(panics).try_build().map(drop),
    ] {
        let Err(StartError::Panicked(payload)) = failed else { panic!("{failed:?}") };
        assert_eq!(payload.message(), Some("no device"));
    }
    let panicked = std::panic::catch_unwind(|| Builder::new().driver(fails).build());
    assert!(panicked.is_err());
}

/// A driver that registers nothing.
#[derive(Clone, Default)]
struct Doorbell(Arc<(Mutex<bool>, Condvar)>);

impl Driver for Doorbell {
    type Bell = Box<dyn Fn() + Send + Sync>;

    fn bell(&self) -> Self::Bell {
        let Doorbell(door) = self.clone();
        Box::new(move || {
            *door.0.lock().expect("no panics") = true;
            door.1.notify_one();
        })
    }

    fn look(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn wait(&mut self, until: Option<Instant>) -> io::Result<()> {
        let mut rung = self.0.0.lock().expect("no panics");
        while !*rung {
            let left = until
                .map_or(Duration::from_secs(60), |at| at.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                break;
            }
            rung = self.0.1.wait_timeout(rung, left).expect("no panics").0;
        }
        *rung = false;
        Ok(())
    }
}

/// N7: on a loop whose driver registers nothing, who would wait gets `Unsupported`; the bell may be rung after the end.
#[test]
fn n7_a_driver_may_register_nothing() {
    limited(|| {
        let door = Doorbell::default();
        let bell = door.bell();
        let side = Builder::new().driver(move || Ok(door)).start().expect("a thread");
        let (reader, _writer) = pipe();
        let waiting = side.handle().spawn(async move { reader.readable().await });
        let error = join_ok(waiting).expect_err("there is no way to wait");
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        let (waker, _task) = crate::hosts::waker_of(side.handle());
        side.shutdown(Shutdown::now());
        bell();
        waker.wake();
        let executor: Executor = Builder::new().driver(|| Ok(Doorbell::default())).build();
        assert_eq!(executor.try_fd().expect_err("it has none").kind(), io::ErrorKind::Unsupported);
        assert!(
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| executor.as_fd().as_raw_fd()))
                .is_err()
        );
    });
}
