//! Shutdown of loops whose tasks guard themselves: who has time, who is aborted, and what is told.

use std::thread;
use std::time::Duration;

use sideloop::{
    CancelGuard, Handle, JoinError, JoinHandle, LoopThread, Shutdown, SpawnError, yield_now,
};

use crate::support::{
    Drops, Events, Gate, Latch, Token, join_err, join_ok, limited, limited_to, loop_started,
};

/// A guarded task that, once asked, waits for the gate; returns when it is alive.
fn guarded(side: &LoopThread, name: &str, gate: &Gate, drops: &Drops) -> JoinHandle<u8> {
    let alive = Latch::new("the task lives");
    let (there, passed, token) = (alive.clone(), gate.passed(), drops.token());
    let task = side.handle().task().name(name).spawn(async move {
        let _token = token;
        let guard = CancelGuard::new();
        there.set();
        guard.requested().await;
        passed.await;
        1
    });
    alive.wait();
    task
}

/// H1, H2: a guarded task that cleaned up within the grace is reported as cancelled, and joins as its value.
#[test]
fn a_clean_up_in_time_is_reported_as_cancelled() {
    limited(|| {
        let side = loop_started();
        let gate = Gate::new();
        gate.open();
        let task = guarded(&side, "tidy", &gate, &Drops::new());
        let report = side.shutdown(Shutdown::graceful(Duration::from_secs(10)));
        assert_eq!(join_ok(task), 1);
        assert_eq!(report.cancelled.len(), 1, "{report:?}");
        assert_eq!(report.cancelled[0].name.as_deref(), Some("tidy"));
        assert!(report.aborted.is_empty() && report.finished == 0, "{report:?}");
    });
}

/// H1, H2: one that did not is aborted after the grace, and reported so.
#[test]
fn a_clean_up_that_takes_too_long_is_aborted() {
    limited(|| {
        let side = loop_started();
        let drops = Drops::new();
        let task = guarded(&side, "slow", &Gate::new(), &drops);
        let before = std::time::Instant::now();
        let grace = Duration::from_millis(20);
        let report = side.shutdown(Shutdown::graceful(grace));
        assert!(before.elapsed() >= grace);
        assert!(matches!(join_err(task), JoinError::Cancelled));
        assert_eq!((report.aborted.len(), report.cancelled.len()), (1, 0), "{report:?}");
        assert_eq!(drops.count(), 1);
    });
}

/// H1: `now` aborts, guard or not, and asks nobody.
#[test]
fn now_asks_no_guard() {
    limited(|| {
        let side = loop_started();
        let gate = Gate::new();
        gate.open();
        let task = guarded(&side, "unasked", &gate, &Drops::new());
        let report = side.shutdown(Shutdown::now());
        assert!(matches!(join_err(task), JoinError::Cancelled));
        assert_eq!(report.aborted.len(), 1, "{report:?}");
    });
}

/// H1: a refused cancel of the shutdown is no way out: it is aborted after the grace.
#[test]
fn a_task_that_refuses_is_aborted_after_the_grace() {
    limited(|| {
        let side = loop_started();
        let (alive, refused) = (Latch::new("lives"), Events::new());
        let (there, seen) = (alive.clone(), refused.clone());
        let task = side.handle().spawn(async move {
            let guard = CancelGuard::new();
            there.set();
            loop {
                guard.requested().await;
                seen.push(guard.refuse());
            }
        });
        alive.wait();
        let report = side.shutdown(Shutdown::graceful(Duration::from_millis(5)));
        assert!(matches!(join_err::<()>(task), JoinError::Cancelled));
        assert_eq!(report.aborted.len(), 1, "{report:?}");
        assert_eq!(refused.all(), [true]);
    });
}

/// H1: a later, shorter request cuts the grace of an earlier one.
#[test]
fn a_later_request_cuts_the_grace() {
    limited(|| {
        let side = loop_started();
        let task = guarded(&side, "cut", &Gate::new(), &Drops::new());
        side.handle().shutdown(Shutdown::graceful(Duration::MAX));
        assert!(!task.is_finished());
        let report = side.shutdown(Shutdown::now());
        assert!(matches!(join_err(task), JoinError::Cancelled));
        assert_eq!(report.aborted.len(), 1, "{report:?}");
    });
}

/// H2: finished, cancelled, aborted and panicked are told apart, each with its name.
#[test]
fn the_report_tells_the_four_ends_apart() {
    limited(|| {
        let side = loop_started();
        let (open, shut, drops) = (Gate::new(), Gate::new(), Drops::new());
        let tidy = guarded(&side, "tidy", &open, &drops);
        let slow = guarded(&side, "slow", &shut, &drops);
        let plain = side.handle().task().name("plain").spawn(std::future::pending::<()>());
        let token = drops.token_then(|| panic!("in a destructor"));
        let broken = side.handle().task().name("broken").spawn(async move {
            let _token = token;
            std::future::pending::<()>().await;
        });
        while side.handle().metrics().polls < 4 {
            thread::yield_now();
        }
        open.open();
        let report = side.shutdown(Shutdown::graceful(Duration::from_millis(30)));
        let names = |list: &[sideloop::TaskInfo]| -> Vec<String> {
            list.iter().map(|task| task.name.as_deref().unwrap_or("").to_owned()).collect()
        };
        assert_eq!(names(&report.cancelled), ["tidy", "plain"]); // as they ended: tidy had no need to wait
        assert_eq!(names(&report.aborted), ["slow"]);
        assert_eq!(names(&report.panicked), ["broken"]);
        assert_eq!(join_ok(tidy), 1);
        assert!(matches!(join_err(slow), JoinError::Cancelled));
        assert!(matches!(join_err(plain), JoinError::Cancelled));
        assert!(matches!(join_err(broken), JoinError::Panicked(_)));
    });
}

/// How many tasks each of eight threads spawns in the stress below.
const EACH: usize = 10_000;

/// One of them: panics, ends at once or later, or never; with or without a guard.
async fn one_of_many(n: usize, token: Token) {
    let _token = token;
    let _guard = (n % 3 == 0).then(CancelGuard::new);
    match n % 5 {
        0 => std::future::pending::<()>().await,
        1 => std::panic::resume_unwind(Box::new("silent")),
        2 => yield_now().await,
        _ => {}
    }
}

/// Spawns its share, and says when half of it is done; what came back is counted.
fn spawn_share(handle: &Handle, drops: &Drops, half: &Latch) -> (Vec<JoinHandle<()>>, u64) {
    let (mut handles, mut back) = (Vec::new(), 0);
    for n in 0..EACH {
        match handle.try_spawn(one_of_many(n, drops.token())) {
            Ok(task) => handles.push(task),
            Err(SpawnError::Closed(future)) => {
                drop(future);
                back += 1;
            }
            Err(other) => panic!("{other}"),
        }
        if n == EACH / 2 {
            half.set();
        }
    }
    (handles, back)
}

/// How the handles ended: finished, cancelled, panicked, closed.
fn ends(handles: Vec<JoinHandle<()>>) -> [u64; 4] {
    let mut ends = [0; 4];
    for task in handles {
        ends[match task.join() {
            Ok(()) => 0,
            Err(JoinError::Cancelled) => 1,
            Err(JoinError::Panicked(_)) => 2,
            Err(JoinError::Closed) => 3,
            Err(other) => panic!("{other:?}"),
        }] += 1;
    }
    ends
}

/// P6, H2: eight threads spawn through the shutdown: accepted = finished + cancelled + aborted +
/// panicked + closed, every handle resolves, and refused futures come back intact.
#[test]
fn nothing_is_lost_when_spawns_race_with_a_graceful_shutdown() {
    limited_to(Duration::from_secs(120), || {
        let side = loop_started();
        let (drops, half) = (Drops::new(), Latch::new("one has spawned half of its share"));
        let spawners: Vec<_> = (0..8)
            .map(|_| {
                let (handle, drops, half) = (side.handle().clone(), drops.clone(), half.clone());
                thread::spawn(move || spawn_share(&handle, &drops, &half))
            })
            .collect();
        half.wait();
        let handle = side.handle().clone();
        let report = side.shutdown(Shutdown::graceful(Duration::from_millis(50)));
        let (mut handles, mut back) = (Vec::new(), 0);
        for spawner in spawners {
            let (share, refused) = spawner.join().expect("ends");
            handles.extend(share);
            back += refused;
        }
        let [finished, cancelled, panicked, closed] = ends(handles);
        assert_eq!(finished + cancelled + panicked + closed + back, 8 * EACH as u64);
        let now = handle.metrics();
        let counted = [now.finished, now.cancelled, now.panicked, now.live];
        assert_eq!(counted, [finished, cancelled, panicked, 0], "{now:?}");
        assert_eq!(now.spawned, finished + cancelled + panicked);
        // The report counts from the request on; a guarded task that cleaned up has a value all the same.
        let (guarded, panics) = (report.cancelled.len() as u64, report.panicked.len() as u64);
        let aborted = report.aborted.len() as u64;
        assert!(
            report.finished <= finished && aborted <= cancelled && panics <= panicked,
            "{now:?}"
        );
        assert!(report.finished + guarded + aborted + panics <= now.spawned, "{now:?}");
        assert_eq!((drops.made(), drops.count()), (8 * EACH, 8 * EACH));
    });
}
