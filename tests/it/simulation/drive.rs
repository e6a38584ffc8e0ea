//! A program from its beginning to its end, and a little beyond.

use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sideloop::{Builder, Executor, Metrics, TaskInfo, time};

use super::calls::deadline_of;
use super::deeds::{answer_of, cancel, cancel_by_id, join_here, perform, spawn, wake};
use super::model::{Counts, End, Model, NEVER, Output, Report, Seen};
use super::program::{Act, Finish, How, Op, Program, Shut, Via};
use super::turns::{Drive, LAST};
use super::world::{Victim, World, check, model, replace_world, world};

/// What a program came to.
pub(crate) struct Trace {
    /// How often each of its tasks was polled.
    pub(crate) polls: Vec<u64>,
    pub(crate) seen: Seen,
}

/// What the program came to; or what went wrong.
pub(crate) fn run(program: &Program, victim: Option<Victim>) -> Result<Trace, String> {
    let calls = Arc::new(AtomicUsize::new(0));
    let mut executor = build(program, &calls);
    let origin = executor.block_on(async { time::now() });
    calls.store(0, Ordering::SeqCst);
    let model = Model { drawn: program.seed != 0, batch: program.batch, ..Model::default() };
    replace_world(Some(World {
        model,
        scripts: program.scripts.iter().cloned().map(Rc::new).collect(),
        handle: executor.handle().clone(),
        origin,
        tasks: Vec::new(),
        pending: Vec::new(),
        watchers: Vec::new(),
        lost: Vec::new(),
        victim,
        afar: Arc::default(),
    }));
    for op in &program.outside {
        if !is_sound() {
            break;
        }
        apply(*op, &mut executor);
        compare(&calls);
    }
    finish(program.end, executor);
    compare(&calls);
    late();
    compare(&calls);
    // What is left may come back here: the world goes when it is gone.
    drop(world(|world| std::mem::take(&mut world.tasks)));
    let world = replace_world(None).expect("it was put there");
    let wakers = world.watchers.iter().filter(|watcher| watcher.strong_count() > 0).count();
    let left = (wakers, world.model.outputs);
    let leak = (left != (0, 0)).then(|| format!("{left:?} foreign wakers and outputs are left"));
    let fault = world.model.fault.or(leak);
    let polls = world.model.tasks.iter().map(|task| task.polls).collect();
    fault.map_or(Ok(Trace { polls, seen: world.model.seen }), Err)
}

/// Its hooks panic, after they have done their work.
fn build(program: &Program, calls: &Arc<AtomicUsize>) -> Executor {
    let calls = calls.clone();
    Builder::new()
        .virtual_time(program.seed)
        .batch(program.batch)
        .on_wake(move || {
            calls.fetch_add(1, Ordering::SeqCst);
            resume_unwind(Box::new("on_wake"));
        })
        .on_panic(|panic| {
            world(|world| world.lost.push(panic.id().as_u64()));
            resume_unwind(Box::new("on_panic"));
        })
        .build()
}

fn is_sound() -> bool {
    model(|model| model.fault.is_none())
}

fn apply(op: Op, executor: &mut Executor) {
    match op {
        Op::Act(act) => perform(act),
        Op::Turn => turn(executor),
        Op::UntilIdle => {
            model(|model| model.call(Drive::UntilIdle));
            let polls = executor.run_until_idle();
            returned();
            let truth = model(|model| model.all_polls);
            check(polls == truth, || format!("{polls} polls until idle, not {truth}"));
        }
        Op::Advance(by) => advance(by, executor),
        Op::ToNextDeadline => {
            let by = model(|model| Some(model.next_deadline()?.saturating_sub(model.now)));
            if let Some(by) = by {
                advance(by, executor);
            }
        }
        Op::ClockAhead(by) => set_clock(model(|model| model.after(by)), executor),
        Op::ClockBack(by) => set_clock(model(|model| model.now.saturating_sub(by)), executor),
        Op::Flood(count, via) => {
            model(|model| model.note(if via == Via::Here { "flood" } else { "flood from afar" }));
            (0..count).for_each(|_| spawn(Rc::default(), via));
        }
    }
}

/// The clock jumps, ahead or back.
fn set_clock(to: u64, executor: &mut Executor) {
    executor.set_clock(world(|world| {
        let (before, timer) = (world.model.now, world.model.timers.keys().next());
        let over = timer.is_some_and(|(due, _)| (before..to).contains(due));
        let model = &mut world.model;
        model.now = deadline_of(to.into()).min(LAST);
        model.note(if model.now < before { "clock back" } else { "clock ahead" });
        if over {
            model.note("clock ahead over a deadline");
        }
        world.origin + Duration::from_nanos(to)
    }));
}

fn returned() {
    model(Model::returned);
}

fn turn(executor: &mut Executor) {
    model(|model| model.call(Drive::Turn));
    let turn = executor.turn();
    returned();
    world(|world| {
        let (origin, model) = (world.origin, &mut world.model);
        let next =
            model.next_deadline().and_then(|at| origin.checked_add(Duration::from_nanos(at)));
        let truth = (model.polls, model.fired, model.idle, next);
        let same = truth == (turn.polls, turn.fired, turn.idle, turn.next_deadline);
        model.check(same, || format!("{turn:?}, not {truth:?}"));
    });
}

fn advance(by: u64, executor: &mut Executor) {
    model(|model| model.call(Drive::Advance { end: model.after(by), last: false }));
    executor.advance(Duration::from_nanos(by));
    returned();
}

fn finish(end: Finish, mut executor: Executor) {
    if end == Finish::Run && is_sound() {
        // A plan that never aborts may never end; nor does any that is made at the end of time.
        for grace in [Some(Some(5)), None] {
            if model(|model| model.plan.is_none_or(|(_, abort)| abort == NEVER)) {
                let drain = grace.flatten().or(Some(0));
                perform(Act::Shutdown(Shut { drain, grace }));
            }
        }
        model(|model| model.call(Drive::Run));
        let report = executor.run();
        returned();
        let ids = |tasks: &[TaskInfo]| tasks.iter().map(|task| task.id.as_u64()).collect();
        let report = Report {
            finished: report.finished,
            cancelled: ids(&report.cancelled),
            aborted: ids(&report.aborted),
            panicked: ids(&report.panicked),
        };
        let truth = model(|model| model.report.clone());
        check(report == truth, || format!("{report:?}, not {truth:?}"));
    }
    model(|model| model.call(Drive::Close));
    drop(executor);
    returned();
}

/// The loop is no more: its handles, ids and wakers are harmless, and each handle has its outcome.
fn late() {
    for task in 0..model(|model| model.tasks.len()) {
        if !is_sound() {
            return;
        }
        wake(task, Via::Here);
        cancel(task, How::Cancel, Via::Here);
        cancel_by_id(task, How::Abort, Via::Here);
        join_here(task, true);
        model(|model| {
            let record = &model.tasks[task];
            let (end, output) = (record.end, record.output);
            let kept = end == Some(End::Finished) && output != Output::Dropped && !record.repeats;
            model.check(end.is_some() && !kept, || format!("{task}: {end:?}, {output:?}"));
        });
    }
}

/// All that can be seen from outside is as the model has it.
fn compare(calls: &AtomicUsize) {
    let metrics = world(|world| world.handle.metrics());
    compare_counts(&metrics);
    world(|world| {
        let model = &mut world.model;
        let lost: Vec<_> = model.lost.iter().map(|task| model.tasks[*task].id).collect();
        model.check(world.lost == lost, || format!("lost {:?}, not {lost:?}", world.lost));
        let (calls, truth) = (calls.load(Ordering::SeqCst), model.hook_calls);
        model.check(calls == truth, || format!("{calls} calls of on_wake, not {truth}"));
        let (afar, truth) = (world.afar.load(Ordering::SeqCst), model.afar);
        model.check(afar == truth, || format!("{afar} drops afar, not {truth}"));
        for task in 0..world.tasks.len() {
            let (wakes, truth) = (world.tasks[task].foreign_wakes, model.tasks[task].foreign_wakes);
            model.check(wakes == truth, || format!("{wakes} foreign wakes, not {truth}"));
        }
    });
    while let Some(truth) = model(Model::next_answer) {
        let pending = world(|world| world.pending.remove(0));
        let answer = pending.join().ok().map(answer_of);
        check(answer == truth, || format!("a request by id found {answer:?}, not {truth:?}"));
    }
}

fn compare_counts(metrics: &Metrics) {
    let counts = Counts {
        spawned: metrics.spawned,
        finished: metrics.finished,
        cancelled: metrics.cancelled,
        panicked: metrics.panicked,
        polls: metrics.polls,
        local_wakes: metrics.local_wakes,
        remote_wakes: metrics.remote_wakes,
        armed: metrics.timers_armed,
        fired: metrics.timers_fired,
        queued: metrics.queued,
        refused: metrics.refused,
    };
    model(|model| {
        let (truth, live) = (model.counts, model.live().len() as u64);
        let same = counts == truth && metrics.live == live;
        model.check(same, || format!("{counts:?}, not {truth:?}; {live} live"));
    });
}
