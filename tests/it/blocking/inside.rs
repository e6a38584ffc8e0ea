//! What a blocking job may do with the loop that it is a job of.

use std::sync::mpsc;
use std::time::Duration;

use sideloop::{
    Builder, Executor, JoinError, JoinHandle, LoopThread, Shutdown, TaskGroup, block_on, current,
    current_task, time, try_current,
};

use crate::support::{Latch, join_ok, limited, loop_started};

/// How a job waits for itself.
type Wait = fn(JoinHandle<()>) -> Result<(), JoinError>;

/// What a job makes of its own handle.
fn given_itself(
    f: impl FnOnce(JoinHandle<()>) -> Result<(), JoinError> + Send + 'static,
) -> Result<(), JoinError> {
    let side = loop_started();
    let ((give, take), (tell, told)) = (mpsc::channel(), mpsc::channel());
    let job = side.handle().spawn_blocking(move || {
        let told = f(take.recv().expect("its own handle"));
        tell.send(told).expect("the test waits");
    });
    give.send(job).expect("it waits");
    told.recv_timeout(Duration::from_secs(20)).expect("the job waits for itself")
}

/// J4: a job that joins itself is told so, with a limit and without, blocking and in a loop that it drives.
#[test]
fn a_job_that_joins_itself_is_told() {
    limited(|| {
        let ways: [Wait; 4] = [
            |own| own.join(),
            |own| {
                let own = own.join_timeout(Duration::ZERO).expect_err("a look");
                own.join_timeout(Duration::MAX).expect("an answer")
            },
            |own| block_on(own),
            |own| Executor::new().block_on(own.cancel_on_drop()),
        ];
        for way in ways {
            let told = given_itself(way);
            assert!(matches!(told, Err(JoinError::WouldDeadlock)), "{told:?}");
        }
    });
}

/// J4: a job may join other jobs, and wait for tasks, of its own loop.
#[test]
fn a_job_may_wait_for_others() {
    limited(|| {
        let side = loop_started();
        let sum = side.handle().spawn_blocking(|| {
            let other = current().spawn_blocking(|| 1).join().expect("another job");
            let task = block_on(current().spawn(async { 2 })).expect("a task");
            let group = TaskGroup::new(&current());
            group.spawn(async { 3 });
            let (_, member) = group.join_next().expect("a member");
            other + task + member.expect("it runs")
        });
        assert_eq!(join_ok(sum), 6);
    });
}

/// P9: a job knows its loop and its task, and a loop that it drives comes first.
#[test]
fn a_job_knows_its_loop_and_its_task() {
    limited(|| {
        let side = loop_started();
        let job = side.handle().spawn_blocking(|| {
            let inner = block_on(async {
                let here = sideloop::spawn_local(async { current_task() });
                let id = here.id();
                (try_current().is_some(), here.await.expect("it runs") == Some(id))
            });
            let task = current().call(|| 5).join().expect("on the loop");
            (current_task(), try_current().map(|handle| handle.is_current()), task, inner)
        });
        let id = job.id();
        assert_eq!(join_ok(job), (Some(id), Some(false), 5, (true, true)));
        let after = side.handle().spawn_blocking(current_task);
        let id = after.id();
        assert_eq!(join_ok(after), Some(id));
        assert!(try_current().is_none() && current_task().is_none());
        let panicked = side.handle().spawn_blocking(|| panic!("in a job"));
        assert!(panicked.join().is_err());
        assert!(join_ok(side.handle().spawn_blocking(current_task)).is_some());
    });
}

/// H3: a job that ends its own loop and waits for that, in each way there is, is told at once.
#[test]
fn a_job_cannot_wait_for_the_end_of_its_loop() {
    limited(|| {
        let ways: [fn(LoopThread); 4] = [
            |side| drop(side.shutdown(Shutdown::graceful(Duration::MAX).drain(Duration::MAX))),
            |side| drop(side.join()),
            |side| drop(side.join_timeout(Duration::MAX).expect_err("it has not ended")),
            drop,
        ];
        for way in ways {
            let side = loop_started();
            let handle = side.handle().clone();
            let (give, take) = mpsc::channel();
            let job = handle.spawn_blocking(move || {
                way(take.recv().expect("its loop"));
                7
            });
            give.send(side).expect("it waits");
            match job.join_timeout(Duration::from_secs(20)).expect("it was told") {
                Ok(value) => assert_eq!(value, 7),
                Err(error) => assert!(matches!(error, JoinError::Closed), "{error:?}"),
            }
            handle.shutdown(Shutdown::now());
        }
    });
}

/// H3: the same in the hook of the watchdog.
#[test]
fn a_watchdog_cannot_wait_for_the_end_of_its_loop() {
    limited(|| {
        let (give, take) = mpsc::channel::<LoopThread>();
        let told = Latch::new("the hook was told");
        let there = told.clone();
        let side = Builder::new()
            .watchdog(Duration::from_millis(1), move |_| {
                if let Ok(side) = take.try_recv() {
                    drop(side.shutdown(Shutdown::graceful(Duration::MAX)));
                    there.set();
                }
            })
            .start()
            .expect("starts");
        let handle = side.handle().clone();
        let closed = handle.clone();
        give.send(side).expect("it waits");
        let stuck = handle.call(move || {
            while !closed.is_closed() {
                std::thread::yield_now();
            }
        });
        told.wait();
        join_ok(stuck);
    });
}

/// J4: a task that drives another loop, and waits in it for a task of its own, is told so; where the other loop
/// is not driven by a call that blocks it waits.
#[test]
fn a_loop_that_is_held_up_is_not_waited_for() {
    limited(|| {
        let side = loop_started();
        let ways: [Wait; 3] = [
            |task| block_on(task),
            |task| Executor::new().block_on(task),
            |task| {
                let mut executor = Executor::new();
                let inner = executor.spawn_local(task);
                executor.block_on(inner).expect("it is polled")
            },
        ];
        for way in ways {
            let told = side.handle().call(move || way(current().spawn(std::future::pending())));
            assert!(matches!(join_ok(told), Err(JoinError::WouldDeadlock)));
        }
        let finished = side.handle().call(|| 1);
        while !finished.is_finished() {
            std::thread::yield_now();
        }
        let taken = side.handle().call(move || block_on(finished).expect("its value"));
        assert_eq!(join_ok(taken), 1);
        let guest = side.handle().spawn_with(|| async {
            let mut guest = Executor::new();
            let task = current().spawn(async { 2 });
            let inner = guest.spawn_local(async move { task.await.expect("it runs") });
            while !inner.is_finished() {
                guest.turn();
                sideloop::yield_now().await;
            }
            guest.block_on(inner).expect("it has ended")
        });
        assert_eq!(join_ok(guest), 2);
        let ring = side.handle().spawn(async { current().spawn(async { 3 }).await });
        assert_eq!(join_ok(ring).expect("an await on its own loop"), 3);
    });
}

/// M11: virtual time does not pass blocking jobs by, whether they run or wait for a worker.
#[test]
fn the_clock_waits_for_jobs() {
    const HOUR: Duration = Duration::from_secs(3600);
    limited(|| {
        let mut executor = Builder::new().virtual_time(0).blocking_threads(1).build();
        let handle = executor.handle().clone();
        let slow = |ms| move || std::thread::sleep(Duration::from_millis(ms));
        let one = handle.spawn_blocking(slow(30));
        assert!(executor.block_on(time::timeout(HOUR, one)).is_ok(), "a job that runs");
        let before = executor.block_on(async { time::now() });
        let queued: Vec<_> = (0..3).map(|_| handle.spawn_blocking(slow(10))).collect();
        let all = async move {
            for job in queued {
                time::timeout(HOUR, job).await.expect("in time").expect("it runs");
            }
            time::now()
        };
        assert_eq!(executor.block_on(all), before, "no time has passed");
        executor.block_on(async { time::sleep(HOUR).await });
        assert_eq!(
            executor.block_on(async { time::now() }),
            before + HOUR,
            "without jobs it goes on"
        );
    });
}

/// M11: a job that was cancelled before it ran holds the clock up no longer, and one that runs does until its end.
#[test]
fn the_clock_does_not_wait_for_cancelled_jobs() {
    limited(|| {
        let mut executor = Builder::new().virtual_time(0).blocking_threads(1).build();
        let handle = executor.handle().clone();
        let (begun, release) = (Latch::new("the job runs"), Latch::new("the job may end"));
        let (there, until) = (begun.clone(), release.clone());
        let running = handle.spawn_blocking(move || {
            there.set();
            until.wait();
        });
        begun.wait();
        let queued: Vec<_> = (0..10).map(|_| handle.spawn_blocking(|| ())).collect();
        queued.iter().for_each(|job| _ = job.cancel());
        executor.run_until_idle();
        release.set();
        executor.block_on(running).expect("it runs");
        let before = executor.block_on(async { time::now() });
        executor.block_on(async { time::sleep(Duration::from_secs(1)).await });
        assert_eq!(executor.block_on(async { time::now() }), before + Duration::from_secs(1));
        executor.advance(Duration::from_secs(1));
        drop(queued);
    });
}
