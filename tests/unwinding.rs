//! Panics of user code at every place where the task floor calls it, on a bare loop: with `std` they are
//! contained, without it they unwind out of the turn, and whoever drives the loop goes on.
//!
//! X1, P6: either way each future and each output is dropped once, each handle resolves, and nobody else is
//! harmed. Run with `--no-default-features` too.

use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use sideloop::bare::Loop;
use sideloop::{JoinError, JoinHandle};

/// Whether a panic is contained.
const CONTAINED: bool = cfg!(feature = "std");

/// Counts its drops, and panics in the first if it is live.
struct Bomb {
    drops: Rc<Cell<usize>>,
    live: bool,
    _heap: String,
}

impl Bomb {
    fn new(drops: &Rc<Cell<usize>>, live: bool) -> Self {
        Self { drops: drops.clone(), live, _heap: "on the heap, to be freed once".repeat(2) }
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        self.drops.set(self.drops.get() + 1);
        assert!(!self.live, "a destructor panics");
    }
}

/// What its poll does, and what is dropped with it; its output is another bomb.
struct Script {
    poll: Act,
    _state: Bomb,
    output: Option<Bomb>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Ready,
    Panic,
    Wait,
}

impl Future for Script {
    type Output = Option<Bomb>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Bomb>> {
        match self.poll {
            Act::Ready => Poll::Ready(self.output.take()),
            Act::Panic => panic!("a poll panics"),
            Act::Wait => Poll::Pending,
        }
    }
}

/// A loop, with counts of what was dropped on it and of what unwound out of it.
struct World {
    bare: Option<Loop>,
    states: Rc<Cell<usize>>,
    outputs: Rc<Cell<usize>>,
    unwound: usize,
}

impl World {
    fn new() -> Self {
        let (states, outputs) = Default::default();
        Self { bare: Some(Loop::new(|| ())), states, outputs, unwound: 0 }
    }

    fn bare(&self) -> &Loop {
        self.bare.as_ref().expect("it has not ended")
    }

    /// Spawns a script: which of its state and its output panic when they are dropped.
    fn spawn(&self, poll: Act, state: bool, output: bool) -> JoinHandle<Option<Bomb>> {
        let output = Some(Bomb::new(&self.outputs, output));
        self.bare().spawn_local(Script { poll, _state: Bomb::new(&self.states, state), output })
    }

    /// Does it; says whether a panic came out.
    fn caught(&mut self, f: impl FnOnce(&mut Self)) -> bool {
        let caught = catch_unwind(AssertUnwindSafe(|| f(self))).is_err();
        self.unwound += usize::from(caught);
        caught
    }

    /// Turns until nothing is left to do.
    fn settle(&mut self) {
        for _ in 0..100 {
            let mut idle = false;
            self.caught(|world| idle = world.bare.as_mut().expect("it lives").turn(0).idle);
            if idle {
                return;
            }
        }
        panic!("it does not come to rest");
    }

    fn end(&mut self) {
        let bare = self.bare.take();
        self.caught(|_| drop(bare));
    }

    /// What unwound is what was to be expected: so many panics, where none is contained.
    fn assert_unwound(&self, panics: usize) {
        assert_eq!(self.unwound, if CONTAINED { 0 } else { panics });
    }
}

/// What a handle says without waiting.
fn outcome<T>(handle: JoinHandle<T>) -> Option<Result<T, JoinError>> {
    match pin!(handle).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => Some(outcome),
        Poll::Pending => None,
    }
}

fn assert_panicked<T>(handle: JoinHandle<T>) {
    assert!(handle.is_finished());
    assert!(matches!(outcome(handle), Some(Err(JoinError::Panicked(_)))));
}

#[test]
fn x1_a_poll_that_panics_ends_its_task_and_no_other() {
    for state in [false, true] {
        let mut world = World::new();
        let broken = world.spawn(Act::Panic, state, false);
        let other = world.spawn(Act::Ready, false, false);
        world.settle();
        assert_panicked(broken);
        assert!(matches!(outcome(other), Some(Ok(Some(_)))));
        assert_eq!((world.states.get(), world.outputs.get()), (2, 2));
        world.assert_unwound(1 + usize::from(state));
        world.end();
        assert_eq!((world.states.get(), world.outputs.get()), (2, 2));
    }
}

#[test]
fn x1_a_destructor_that_panics_after_the_last_poll_is_called_once() {
    for output in [false, true] {
        let mut world = World::new();
        let broken = world.spawn(Act::Ready, true, output);
        let other = world.spawn(Act::Ready, false, false);
        world.settle();
        assert_panicked(broken);
        assert_eq!((world.states.get(), world.outputs.get()), (2, 1), "its value goes with it");
        drop(other);
        world.settle();
        world.end();
        assert_eq!((world.states.get(), world.outputs.get()), (2, 2));
        world.assert_unwound(1 + usize::from(output));
    }
}

#[test]
fn x1_a_destructor_that_panics_at_an_abort_is_called_once() {
    let mut world = World::new();
    let tasks = [true, false].map(|live| world.spawn(Act::Wait, live, false));
    world.settle();
    for task in &tasks {
        task.abort();
    }
    world.settle();
    let [broken, other] = tasks;
    assert_panicked(broken);
    assert!(matches!(outcome(other), Some(Err(JoinError::Cancelled))));
    assert_eq!((world.states.get(), world.outputs.get()), (2, 2));
    world.assert_unwound(1);
}

#[test]
fn h4_a_destructor_that_panics_at_the_end_keeps_no_other_from_it() {
    let mut world = World::new();
    let remote = world.bare().remote();
    let tasks = [false, true, false].map(|live| world.spawn(Act::Wait, live, false));
    world.settle();
    let late = remote.spawn(std::future::pending::<()>());
    world.end();
    world.assert_unwound(1);
    assert_eq!((world.states.get(), world.outputs.get()), (3, 3));
    let [first, broken, last] = tasks;
    assert_panicked(broken);
    for other in [first, last] {
        assert!(matches!(outcome(other), Some(Err(JoinError::Cancelled))));
    }
    assert!(matches!(outcome(late), Some(Err(JoinError::Cancelled))));
}

#[test]
fn x1_a_task_that_was_broken_by_a_panic_is_ended_by_the_end_of_the_loop() {
    let mut world = World::new();
    let broken = [Act::Panic, Act::Ready].map(|poll| world.spawn(poll, poll == Act::Ready, false));
    for _ in 0..2 {
        world.caught(|world| {
            let _ = world.bare.as_mut().expect("it lives").turn(0);
        });
    }
    world.end();
    broken.into_iter().for_each(assert_panicked);
    assert_eq!((world.states.get(), world.outputs.get()), (2, 2));
    world.assert_unwound(2);
}

#[test]
fn x1_an_output_that_panics_when_nobody_wants_it_is_dropped_once() {
    let mut world = World::new();
    drop(world.spawn(Act::Ready, false, true)); // detached before its end
    let other = world.spawn(Act::Ready, false, false);
    world.settle();
    assert!(matches!(outcome(other), Some(Ok(_))));
    assert_eq!((world.states.get(), world.outputs.get()), (2, 2));
    world.assert_unwound(1);
}

#[test]
fn x1_an_output_that_panics_on_its_way_home_is_dropped_once_and_holds_nobody_up() {
    let mut world = World::new();
    let tasks = [true, false, true].map(|live| world.spawn(Act::Ready, false, live));
    world.settle();
    let bare = world.bare.take().expect("it lives");
    let unwound = Rc::new(Cell::new(0));
    for task in tasks {
        let caught = catch_unwind(AssertUnwindSafe(|| drop(task))).is_err();
        unwound.set(unwound.get() + usize::from(caught));
    }
    world.bare = Some(bare);
    world.unwound += unwound.get();
    world.settle();
    assert_eq!(world.outputs.get(), 3);
    world.end();
    assert_eq!((world.states.get(), world.outputs.get()), (3, 3));
    world.assert_unwound(2);
}

#[test]
fn x1_an_output_that_panics_after_the_end_is_dropped_once() {
    let mut world = World::new();
    let tasks = [true, false].map(|live| world.spawn(Act::Ready, false, live));
    world.settle();
    world.end();
    for task in tasks {
        world.caught(|_| drop(task));
    }
    assert_eq!((world.states.get(), world.outputs.get()), (2, 2));
    world.assert_unwound(1);
}

#[test]
fn p7_a_refused_future_whose_destructor_panics_is_dropped_once() {
    let remote = Loop::new(|| ()).remote();
    let drops = Arc::new(AtomicUsize::new(0));
    struct Sent(Arc<AtomicUsize>);
    impl Drop for Sent {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
            panic!("a destructor panics");
        }
    }
    let sent = Sent(drops.clone());
    let spawned = catch_unwind(AssertUnwindSafe(|| {
        remote.spawn(async move {
            let _sent = sent;
            std::future::pending::<()>().await
        })
    }));
    assert_eq!(drops.load(Ordering::Relaxed), 1);
    assert_eq!(spawned.is_ok(), CONTAINED);
    spawned.into_iter().for_each(assert_panicked);
}

/// A waker that panics when it is used, or when it goes.
struct Foreign {
    in_wake: bool,
    drops: Arc<AtomicUsize>,
}

impl Wake for Foreign {
    fn wake(self: Arc<Self>) {
        assert!(!self.in_wake, "a waker panics");
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Ordering::Relaxed);
        assert!(self.in_wake, "the destructor of a waker panics");
    }
}

#[test]
fn x1_a_waker_that_panics_in_a_join_is_used_up_once() {
    for (in_wake, detached) in [(true, false), (false, false), (false, true)] {
        let mut world = World::new();
        let drops = Arc::new(AtomicUsize::new(0));
        let mut handle = Some(world.spawn(Act::Ready, false, false));
        let waker = Waker::from(Arc::new(Foreign { in_wake, drops: drops.clone() }));
        let polled =
            Pin::new(handle.as_mut().expect("it is there")).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        drop(waker); // the one that was left is the last
        if detached {
            world.caught(|_| drop(handle.take())); // with the waker that it had left
        }
        world.settle();
        if let Some(handle) = handle {
            assert!(matches!(outcome(handle), Some(Ok(_))));
        }
        world.end();
        assert_eq!((world.states.get(), world.outputs.get()), (1, 1));
        assert_eq!(drops.load(Ordering::Relaxed), 1);
        world.assert_unwound(1);
    }
}

#[test]
fn x1_a_bell_that_panics_loses_no_task_and_leaks_none() {
    let (token, rung) = (Arc::new(()), Arc::new(AtomicUsize::new(0)));
    let counter = rung.clone();
    let mut bare = Loop::new(move || {
        assert!(counter.fetch_add(1, Ordering::Relaxed) % 2 == 1, "a bell panics each other time");
    });
    let (remote, held) = (bare.remote(), token.clone());
    let spawned = catch_unwind(AssertUnwindSafe(|| remote.spawn(async move { held })));
    assert_eq!((spawned.is_ok(), rung.load(Ordering::Relaxed)), (CONTAINED, 1));
    drop(spawned);
    while !bare.turn(0).idle {}
    assert_eq!(Arc::strong_count(&token), 1, "it ran, and its output was dropped");

    let waker = Rc::new(Cell::new(None::<Waker>));
    let (kept, held) = (waker.clone(), token.clone());
    let mut first = true;
    let wait = std::future::poll_fn(move |cx| {
        kept.set(Some(cx.waker().clone()));
        if std::mem::replace(&mut first, false) { Poll::Pending } else { Poll::Ready(()) }
    });
    let task = bare.spawn_local(async move {
        wait.await;
        held
    });
    while !bare.turn(0).idle {}
    let own = waker.take().expect("it was left there");
    assert_eq!(rung.load(Ordering::Relaxed), 2);
    let woken = catch_unwind(AssertUnwindSafe(|| own.wake())); // by value: its reference goes all the same
    assert_eq!((woken.is_ok(), rung.load(Ordering::Relaxed)), (CONTAINED, 3));
    while !bare.turn(0).idle {}
    assert!(matches!(outcome(task), Some(Ok(_))));
    drop((waker, bare));
    assert_eq!(Arc::strong_count(&token), 1);
}

/// J4: on the thread of a bare loop, inside and outside of its turns; and on another one it waits.
#[cfg(feature = "std")]
#[test]
fn j4_a_blocking_join_on_the_thread_of_a_bare_loop_would_deadlock() {
    let mut bare = Loop::new(|| ());
    let remote = bare.remote();
    let outside = bare.spawn_local(std::future::pending::<()>());
    assert!(matches!(outside.join(), Err(JoinError::WouldDeadlock)));
    let sent = bare.remote().spawn(std::future::pending::<()>());
    let sent = sent.join_timeout(std::time::Duration::ZERO).expect_err("it looks once");
    let limit = std::time::Duration::from_secs(60);
    assert!(matches!(sent.join_timeout(limit), Ok(Err(JoinError::WouldDeadlock))));
    let inside = bare.spawn_local(async move { remote.spawn(async {}).join() });
    while !bare.turn(0).idle {}
    assert!(matches!(outcome(inside), Some(Ok(Err(JoinError::WouldDeadlock)))));
    let done = bare.spawn_local(async { 7 });
    while !bare.turn(0).idle {}
    assert_eq!(done.join().unwrap(), 7, "it has ended");
    let waits = bare.remote().spawn(async { 8 });
    let joiner = std::thread::spawn(move || waits.join());
    while !joiner.is_finished() {
        bare.turn(0);
    }
    assert_eq!(joiner.join().unwrap().unwrap(), 8);
    let late = bare.spawn_local(std::future::pending::<()>());
    drop(bare);
    assert!(matches!(late.join(), Err(JoinError::Cancelled)));
}
