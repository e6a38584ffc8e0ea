//! Faults of the machine: no more threads, one core, processes started in between.
//!
//! Signals and stops are in `signals`, sheer numbers in `masses`, and what user code can do in `hostile`.

mod forks;
mod hostile;
mod masses;
mod signals;

use std::future::pending;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use sideloop::{Builder, Executor, JoinError, LoopThread, Shutdown, StartError, time};

use crate::child::{Ended, in_child_with, run};
use crate::support::{
    Drops, Events, Gate, Latch, NO_STACK, join_err, join_ok, limited, loop_started,
};

/// A stack that a thread can have although `RUST_MIN_STACK` asks for none that there is.
const STACK: usize = 1 << 20;

/// Runs `body` in a child whose threads get no stack, unless they are told a size.
#[track_caller]
fn without_threads<F: FnOnce()>(body: F) {
    let no_stack = |child: &mut Command| {
        child.env("RUST_MIN_STACK", NO_STACK.to_string());
    };
    if let Some(Ended { status, output }) = in_child_with(no_stack, body) {
        assert!(status.success(), "the child: {status}\n{output}");
    }
}

fn small_loop(builder: Builder) -> LoopThread {
    builder.stack_size(STACK).start().expect("a loop thread with a small stack starts")
}

// ───────────── no more threads ─────────────

/// S2: a loop whose thread cannot be created is an error in its time, and none before or after.
#[test]
fn a_start_without_a_thread_leaves_the_other_loops_alone() {
    without_threads(|| {
        let side = small_loop(Builder::new());
        let drops = Drops::new();
        for _ in 0..10 {
            let (first, last) = (drops.token(), drops.token());
            let start = move || {
                drop(first);
                Ok(())
            };
            let builder = Builder::new().on_start(start).on_stop(move || drop(last));
            let error = builder.start().expect_err("there is no thread");
            assert!(matches!(error, StartError::Thread(_)), "{error:?}");
        }
        assert_eq!((drops.count(), drops.threads().len()), (20, 20), "hooks leak");
        assert_eq!(join_ok(side.handle().call(|| 7)), 7);
        assert_eq!(sideloop::block_on(async { 8 }), 8, "an executor needs no thread");
    });
}

/// S2, O2: a watchdog that gets no thread keeps a loop from starting; an executor goes without.
#[test]
fn a_watchdog_without_a_thread_is_a_start_error() {
    without_threads(|| {
        let (drops, ran) = (Drops::new(), Events::<()>::new());
        let (token, runs) = (drops.token(), ran.clone());
        let on_start = move || {
            runs.push(());
            Ok(())
        };
        let builder = Builder::new().stack_size(STACK).on_start(on_start);
        let error = builder.watchdog(Duration::ZERO, move |_| _ = &token).start();
        let error = error.expect_err("there is no thread for the watchdog");
        assert!(matches!(error, StartError::Thread(_)), "{error:?}");
        assert!(ran.all().is_empty(), "the loop began");
        let token = drops.token();
        let mut executor = Builder::new().watchdog(Duration::ZERO, move |_| _ = &token).build();
        assert_eq!(drops.count(), 2, "hooks leak");
        assert_eq!(executor.block_on(async { 9 }), 9);
    });
}

/// X2, P6: a blocking job that gets no thread ends as a panic that says so; the loop goes on.
#[test]
fn a_blocking_job_without_a_thread_says_so() {
    without_threads(|| {
        let (told, drops) = (Events::new(), Drops::new());
        let tells = told.clone();
        let hook = move |panic: &sideloop::TaskPanic<'_>| {
            tells.push(panic.payload().message().map(str::to_owned));
        };
        let side = small_loop(Builder::new().on_panic(hook));
        let job = || {
            let token = drops.token();
            side.handle().spawn_blocking(move || drop(token))
        };
        let jobs: Vec<_> = (0..20).map(|_| job()).collect();
        for job in jobs {
            let JoinError::Panicked(payload) = join_err(job) else { panic!("it is no panic") };
            let message = payload.message().expect("a message");
            assert!(message.starts_with("no thread for a blocking job: "), "{message}");
        }
        job().detach();
        drops.wait(21);
        assert_eq!(join_ok(side.handle().call(|| 7)), 7, "the loop is none the worse for it");
        side.shutdown(Shutdown::now());
        assert_eq!(told.all().len(), 1, "the detached one alone: {:?}", told.all());
    });
}

/// How much address space this process uses, in KiB; the sanitizers' shadows are in it.
pub(crate) fn address_space() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("proc is mounted");
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let size = line.and_then(|line| line.split_whitespace().next());
    size.expect("a line VmSize").parse().expect("a number")
}

/// P6: jobs wait for the worker there is when there cannot be another.
#[test]
fn jobs_share_the_worker_there_is() {
    let ended = in_child_with(
        |_| (),
        || {
            if address_space() > 1 << 30 {
                return eprintln!("a sanitizer's shadow: the address space cannot be limited");
            }
            let side = loop_started();
            let (working, gate) = (Latch::new("the first job runs"), Latch::new("it may end"));
            let (works, passes) = (working.clone(), gate.clone());
            let first = side.handle().spawn_blocking(move || {
                works.set();
                passes.wait();
                thread::current().id()
            });
            working.wait();
            let limit = (address_space() + 512) * 1024; // less than another stack
            let mut prlimit = Command::new("prlimit");
            prlimit.args([format!("--pid={}", std::process::id()), format!("--as={limit}:")]);
            assert!(prlimit.status().expect("prlimit runs").success());
            thread::Builder::new().spawn(|| ()).expect_err("there is a thread to be had");
            let rest: Vec<_> =
                (0..20).map(|_| side.handle().spawn_blocking(|| thread::current().id())).collect();
            let cancelled = side.handle().spawn_blocking(|| ());
            cancelled.cancel();
            gate.set();
            let worker = join_ok(first);
            for job in rest {
                assert_eq!(join_ok(job), worker);
            }
            assert!(matches!(join_err(cancelled), JoinError::Cancelled));
        },
    );
    if let Some(Ended { status, output }) = ended {
        assert!(status.success(), "the child: {status}\n{output}");
    }
}

// ───────────── one core ─────────────

/// What is run on one core: everything that has two sides which could wait for each other.
const TWO_SIDED: [&str; 9] = [
    "capacity::",
    "cancelling::",
    "endings::",
    "guards::",
    "joining::",
    "panics_wakers::",
    "shutdown::",
    "turns::idle::",
    "wakers::",
];

/// P1, W1: on one core nobody spins for another: these parts of the suite pass there as well.
#[test]
fn one_core_is_enough() {
    let core = std::fs::read_to_string("/proc/self/status").expect("proc is mounted");
    let core = core.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let core = core.expect("a line of cores").trim().split([',', '-']).next().expect("a core");
    let binary: PathBuf = std::env::current_exe().expect("the path of the test binary");
    let mut command = Command::new("taskset");
    command.args(["-c", core]).arg(binary).args(TWO_SIDED).args(["--test-threads", "2"]);
    let Ended { status, output } = run(command, "one core", Duration::from_secs(240));
    assert!(status.success(), "on one core: {status}\n{output}");
    let result = output.lines().find(|line| line.starts_with("test result: ok. "));
    let passed = result.and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
    assert!(passed.is_some_and(|passed: u32| passed >= 100), "too few tests ran: {result:?}");
}

// ───────────── processes ─────────────

/// P1: processes may be started from tasks, jobs and other threads while loops live and work.
#[test]
fn processes_may_be_started_while_loops_live() {
    limited(|| {
        let loops: Vec<_> = (0..3).map(|_| loop_started()).collect();
        let (gate, stop) = (Gate::new(), Arc::new(()));
        for side in &loops {
            let alive = Arc::downgrade(&stop);
            let busy = async move {
                while alive.strong_count() > 0 {
                    time::sleep(Duration::from_micros(100)).await;
                }
            };
            side.handle().spawn(busy).detach();
            side.handle().spawn(gate.passed()).detach();
        }
        let echo = |n: usize| {
            let output = Command::new("echo").arg(n.to_string()).output().expect("echo runs");
            String::from_utf8(output.stdout).expect("text").trim().parse::<usize>()
        };
        let tasks = (0..30).map(|n| match n % 3 {
            0 => loops[0].handle().call(move || echo(n)),
            1 => loops[1].handle().spawn_blocking(move || echo(n)),
            _ => loops[2].handle().spawn(async move {
                time::sleep(Duration::from_micros(n as u64)).await;
                echo(n)
            }),
        });
        let tasks: Vec<_> = tasks.collect();
        assert_eq!(echo(99), Ok(99), "here too");
        for (n, task) in tasks.into_iter().enumerate() {
            assert_eq!(join_ok(task), Ok(n));
        }
        drop(stop);
        gate.open();
        for side in loops {
            let report = side.shutdown(Shutdown::now().drain(Duration::from_secs(10)));
            assert!(report.aborted.is_empty() && report.panicked.is_empty(), "{report:?}");
        }
    });
}

/// H6: a child process that is started by a task lives on when the loop has ended.
#[test]
fn a_process_outlives_the_loop_that_started_it() {
    limited(|| {
        let side = loop_started();
        side.handle().spawn(pending::<()>()).detach();
        let start = || Command::new("sleep").arg("0.2").spawn().expect("sleep runs");
        let mut child = join_ok(side.handle().call(start));
        side.shutdown(Shutdown::now());
        assert!(child.wait().expect("a status").success());
        let mut executor = Executor::new();
        let run = executor.spawn_local(async { Command::new("true").status() });
        let status = executor.block_on(run).expect("a value").expect("it runs");
        assert!(status.success());
    });
}
