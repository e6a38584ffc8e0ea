//! What a clean-up may do, what is refused and counted, and that what comes late is asked like the rest.

use std::collections::HashSet;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use sideloop::{
    Builder, Executor, Handle, JoinError, JoinHandle, LoopThread, Shutdown, SpawnError, TaskGroup,
    spawn_local, time, yield_now,
};

use crate::shutdown::drain;
use crate::support::{Drops, OnDrop, hold, join_err, join_ok, limited, limited_to, loop_started};

/// A limit that no test waits for.
const LONG: Duration = Duration::from_secs(3600);

/// A guarded task that, once asked, does its clean-up.
pub(crate) fn cleans_up<F>(
    side: &LoopThread,
    clean_up: impl FnOnce() -> F + Send + 'static,
) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: Send + 'static,
{
    side.handle().task().name("cleans up").spawn_guarded(|guard| async move {
        guard.requested().await;
        clean_up().await
    })
}

// ───────────── a clean-up may use what it could use before (P7, H8) ─────────────

/// P7: the case `cleanup_cannot_spawn`: a blocking job, from a clean-up.
#[test]
fn a_clean_up_may_run_a_blocking_job() {
    limited(|| {
        let side = loop_started();
        let task = cleans_up(&side, || async {
            sideloop::current().spawn_blocking(|| "journal flushed").await.expect("it is run")
        });
        let report = side.shutdown(Shutdown::graceful(LONG));
        assert_eq!(join_ok(task), "journal flushed");
        assert_eq!(
            (report.refused, report.finished, report.cancelled.len()),
            (0, 1, 1),
            "{report:?}"
        );
    });
}

/// P7: the case `silent_loss`: a local task that nobody joins, from a clean-up.
#[test]
fn what_a_clean_up_detaches_is_run() {
    limited(|| {
        let side = loop_started();
        let task = cleans_up(&side, || async {
            let (answer, comes) = mpsc::channel();
            spawn_local(async move {
                yield_now().await;
                answer.send("the stream's answer").expect("awaited");
            })
            .detach();
            loop {
                match comes.try_recv() {
                    Ok(answer) => return answer,
                    Err(mpsc::TryRecvError::Empty) => yield_now().await,
                    Err(other) => panic!("{other}"),
                }
            }
        });
        let report = side.shutdown(Shutdown::graceful(LONG));
        assert_eq!(join_ok(task), "the stream's answer");
        assert_eq!(report.refused, 0, "{report:?}");
    });
}

/// P7: everything that could be used before: spawns of each kind, calls, timers, groups and their jobs.
#[test]
fn a_clean_up_may_use_all_that_it_could_use_before() {
    limited(|| {
        let side = loop_started();
        let task = cleans_up(&side, || async {
            let handle = sideloop::current();
            let group = TaskGroup::new(&handle);
            group.spawn(async { 1 });
            group.spawn_local(async { 2 });
            group.spawn_with(|| async { 3 });
            let mut sum = 0;
            while let Some((_, value)) = group.next().await {
                sum += value.expect("it is run");
            }
            sum += handle.spawn(async { 4 }).await.expect("it is run");
            sum += handle.try_spawn(async { 5 }).expect("it is taken").await.expect("it is run");
            sum += handle.call(|| 6).await.expect("it is run");
            sum += handle.call_after(Duration::from_millis(1), || 7).await.expect("it is run");
            let guarded = handle.task().spawn_guarded(|guard| async move {
                time::sleep(Duration::from_millis(1)).await;
                guard.is_requested()
            });
            assert!(!guarded.await.expect("it is run"), "a clean-up is not asked itself");
            let named = sideloop::LocalHandle::current().spawn_local(async { 8 });
            sum + named.await.expect("it is run")
        });
        let report = side.shutdown(Shutdown::graceful(LONG));
        assert_eq!(join_ok(task), 36);
        assert_eq!((report.refused, report.aborted.len()), (0, 0), "{report:?}");
    });
}

/// P7: so do a callback and a destructor of the cancel phase.
#[test]
fn callbacks_and_destructors_of_the_cancel_phase_may_spawn() {
    limited(|| {
        let side = loop_started();
        let (tell, told) = mpsc::channel();
        let on_drop = OnDrop(Some(move || {
            sideloop::current().call(move || tell.send("called").expect("awaited")).detach();
        }));
        side.handle().spawn(async move {
            let _on_drop = on_drop;
            pending::<()>().await;
        });
        let report = side.shutdown(Shutdown::graceful(LONG));
        assert_eq!(told.try_recv(), Ok("called"));
        assert_eq!(
            (report.refused, report.finished, report.cancelled.len()),
            (0, 1, 1),
            "{report:?}"
        );
    });
}

/// H8: what a clean-up spawned is not asked to end, and is aborted with it when the grace is over.
#[test]
fn what_a_clean_up_spawned_is_aborted_with_it() {
    limited(|| {
        let mut executor = Builder::new().virtual_time(0).build();
        let asked = Arc::new(AtomicUsize::new(0));
        let seen = asked.clone();
        let task = executor.handle().task().spawn_guarded(move |guard| async move {
            guard.requested().await;
            let helper =
                sideloop::current().task().name("helper").spawn_guarded(move |guard| async move {
                    guard.requested().await;
                    seen.fetch_add(1, Ordering::SeqCst);
                });
            helper.await
        });
        executor.handle().shutdown(Shutdown::graceful(Duration::from_secs(5)));
        let report = executor.run();
        let names: Vec<_> = report.aborted.iter().map(|task| task.name.as_deref()).collect();
        assert_eq!(names, [None, Some("helper")], "{report:?}");
        assert_eq!(asked.load(Ordering::SeqCst), 0);
        assert!(matches!(join_err(task), JoinError::Cancelled));
    });
}

// ───────────── what is refused is counted (P7) ─────────────

/// P7: in the abort phase a destructor's submissions are refused, each with its answer, and counted.
#[test]
fn submissions_of_the_abort_phase_are_refused_and_counted() {
    limited(|| {
        let side = loop_started();
        let (give, take) = mpsc::channel();
        let drops = Drops::new();
        let tokens: Vec<_> = (0..4).map(|_| drops.token()).collect();
        let on_drop = OnDrop(Some(move || {
            let handle = sideloop::current();
            let [one, two, three, four] = tokens.try_into().expect("four");
            let spawned = handle.spawn(async move { drop(one) });
            let called = handle.call(move || drop(two));
            let local = spawn_local(async move { drop(three) });
            let job = handle.spawn_blocking(move || drop(four));
            let back = matches!(handle.try_spawn(async {}), Err(SpawnError::Closed(_)));
            give.send((spawned, called, job, back, local.is_finished())).expect("awaited");
        }));
        side.handle().spawn(async move {
            let _on_drop = on_drop;
            pending::<()>().await;
        });
        join_ok(side.handle().call(|| ()));
        let handle = side.handle().clone();
        let report = side.shutdown(Shutdown::now());
        let (spawned, called, job, back, local) = take.recv().expect("the destructor ran");
        assert!(back && local, "they have their answer at once");
        for handle in [spawned, called, job] {
            assert!(matches!(join_err(handle), JoinError::Closed));
        }
        assert_eq!((report.refused, handle.metrics().refused, drops.count()), (5, 5, 4));
    });
}

/// P7: submissions of other threads are counted from the request on, also after the end; control
/// requests are not.
#[test]
fn submissions_of_other_threads_are_counted() {
    limited(|| {
        let side = loop_started();
        let held = hold(side.handle());
        side.handle().shutdown(drain());
        let handle = side.handle().clone();
        let id = handle.spawn(async {}).id();
        handle.call(|| ()).detach();
        handle.spawn_with(|| async {}).detach();
        handle.task().name("guarded").spawn_guarded(|_| async {}).detach();
        assert!(handle.try_spawn(async {}).is_err());
        handle.spawn_blocking(|| ()).detach();
        handle.call_after(LONG, || ()).detach();
        handle.call_every(LONG, || ()).expect("a period").detach();
        TaskGroup::new(&handle).spawn(async {});
        assert_eq!(handle.metrics().refused, 9);
        drop((handle.cancel(id), handle.tasks())); // control requests
        held.release();
        let report = side.join();
        assert_eq!((report.refused, handle.metrics().refused), (9, 9));
        assert!(matches!(join_err(handle.call(|| ())), JoinError::Closed));
        assert_eq!(handle.metrics().refused, 10);
    });
}

/// P7, P8: so is what does not fit, but not in the report: that counts from the request on (H2).
#[test]
fn what_does_not_fit_is_counted_as_refused() {
    limited(|| {
        let side = Builder::new().capacity(1).start().expect("starts");
        let held = hold(side.handle());
        let first = side.handle().spawn(async {});
        let second = side.handle().try_spawn(async {});
        assert!(matches!(second, Err(SpawnError::Full(_))));
        assert_eq!(side.handle().metrics().refused, 1);
        held.release();
        join_ok(first);
        assert_eq!(side.shutdown(drain()).refused, 0);
    });
}

/// P7: the hook that runs last is refused, too, and that is in the report.
#[test]
fn the_stop_hook_is_refused_and_counted() {
    limited(|| {
        let (give, take) = mpsc::channel::<Handle>();
        let stop = move || drop(take.recv().expect("sent before").call(|| ()));
        let side = Builder::new().on_stop(stop).start().expect("starts");
        give.send(side.handle().clone()).expect("the hook waits");
        assert_eq!(side.shutdown(Shutdown::now()).refused, 1);
    });
}

// ───────────── late submissions are asked like the rest (H8) ─────────────

/// H8: the case `late_submissions_are_not_cancelled`: threads spawn until they see the loop closed.
#[test]
fn what_is_taken_in_during_the_cancel_phase_is_asked_to_end() {
    limited_to(Duration::from_secs(120), || {
        for _ in 0..5 {
            let side = loop_started();
            let task = cleans_up(&side, || time::sleep(Duration::from_millis(20)));
            let spawners: Vec<_> = (0..4)
                .map(|_| {
                    let handle = side.handle().clone();
                    thread::spawn(move || {
                        while !handle.is_closed() {
                            handle.spawn(pending::<()>()).detach();
                        }
                    })
                })
                .collect();
            while side.handle().metrics().spawned < 100 {
                thread::yield_now();
            }
            side.handle().shutdown(Shutdown::graceful(Duration::MAX));
            for spawner in spawners {
                spawner.join().expect("ends");
            }
            side.join(); // would not end
            join_ok(task);
        }
    });
}

/// H8, C9: the same without a race: it was submitted before the request, and the loop finds it after that.
#[test]
fn a_guarded_task_that_was_not_taken_in_is_told() {
    limited(|| {
        let mut executor = Executor::new();
        let handle = executor.handle().clone();
        let early = cleans_up_here(&handle);
        handle.shutdown(Shutdown::graceful(Duration::MAX));
        let late =
            thread::scope(|scope| scope.spawn(|| handle.spawn(async {})).join().expect("ends"));
        assert!(matches!(join_err(late), JoinError::Closed));
        let report = executor.run();
        assert_eq!((report.cancelled.len(), report.refused), (1, 1), "{report:?}");
        assert_eq!(join_ok(early), "told");
    });
}

fn cleans_up_here(handle: &Handle) -> JoinHandle<&'static str> {
    let from_elsewhere = || {
        handle.task().spawn_guarded(|guard| async move {
            guard.requested().await;
            "told"
        })
    };
    thread::scope(|scope| scope.spawn(from_elsewhere).join().expect("ends"))
}

/// H8, H2: many are asked, some in each turn; all are reported as cancelled, in spawn order, and what they
/// spawn before they are asked is asked as well.
#[test]
fn many_are_asked_in_pieces() {
    fn again() {
        sideloop::current().call(again).detach();
    }
    limited(|| {
        let mut executor = Builder::new().batch(1).build();
        let tasks: Vec<_> =
            (0..1_000).map(|_| executor.spawn_local(pending::<()>()).id()).collect();
        executor.handle().call(again).detach();
        executor.run_for(10);
        executor.handle().shutdown(Shutdown::graceful(Duration::MAX));
        let first = executor.turn();
        assert!(!first.idle && !first.ended, "{first:?}");
        let report = executor.run();
        // In no order: one turn ends a task that was asked, the next polls one that was ready.
        let ids: HashSet<_> = report.cancelled.iter().map(|task| task.id).collect();
        assert_eq!(ids.len(), report.cancelled.len(), "each once");
        assert!(tasks.iter().all(|id| ids.contains(id)));
    });
}

/// As many turns.
trait RunFor {
    fn run_for(&mut self, turns: usize);
}

impl RunFor for Executor {
    fn run_for(&mut self, turns: usize) {
        for _ in 0..turns {
            let _ = self.turn();
        }
    }
}
