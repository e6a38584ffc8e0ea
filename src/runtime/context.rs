//! "Which loop am I on?", "does this loop live on my thread?", and "where is the loop of that number?".

use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::num::NonZeroU64;
use std::ptr;
use std::rc::Rc;
use std::sync::Weak;

use parking_lot::Mutex;

use super::blocking::runs_job_of;
use super::local::Local;
use super::room;
use super::shared::Shared;
use crate::id::TaskId;
use crate::sync::{self, Arc};
use crate::task::run_queues::RunQueues;

/// All loops by number: for what refers to a loop in hot paths, but rarely from outside of it. A number
/// is copied where a weak reference would have to be counted.
static LOOPS: Mutex<Loops> = Mutex::new(Loops { last: NonZeroU64::MIN, all: Vec::new() });

/// How often a thread that ends looks for loops that are left.
const ROUNDS: usize = 8;

#[derive(Debug)]
struct Loops {
    last: NonZeroU64,
    all: Vec<(LoopNumber, Weak<Shared>)>,
}

impl Loops {
    /// The next number that no loop has which can be found. At one in a nanosecond they come round after
    /// 584 years.
    fn draw(&mut self) -> LoopNumber {
        loop {
            self.last = self.last.checked_add(1).unwrap_or(NonZeroU64::MIN);
            if self.position(LoopNumber(self.last)).is_none() {
                return LoopNumber(self.last);
            }
        }
    }

    fn position(&self, number: LoopNumber) -> Option<usize> {
        self.all.iter().position(|(other, _)| *other == number)
    }
}

/// A loop's number, unique among those that live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LoopNumber(NonZeroU64);

impl LoopNumber {
    /// Makes a loop's shared part with a new number, by which it is found as long as it lives.
    pub(crate) fn give(make: impl FnOnce(Self) -> Shared) -> std::sync::Arc<Shared> {
        let number = LOOPS.lock().draw();
        let shared = std::sync::Arc::new(make(number));
        let found = (number, std::sync::Arc::downgrade(&shared));
        room::put(found, |change| change(&mut LOOPS.lock().all));
        shared
    }

    /// The loop, if it still is one.
    pub(crate) fn find(self) -> Option<std::sync::Arc<Shared>> {
        let loops = LOOPS.lock();
        loops.all[loops.position(self)?].1.upgrade()
    }

    /// The loop is gone.
    pub(super) fn forget(self) {
        let gone = {
            let mut loops = LOOPS.lock();
            loops.position(self).map(|at| loops.all.swap_remove(at))
        };
        drop(gone);
        room::thin(|change| change(&mut LOOPS.lock().all));
    }
}

/// A loop of this thread, with its address at hand.
struct LocalLoop {
    address: *const (),
    local: Rc<Local>,
}

std::thread_local! {
    /// The loops that live on this thread, whether or not they are being run. It has no destructor,
    /// so that it can be asked while the thread's other locals are being destroyed.
    static HOMES: RefCell<ManuallyDrop<Vec<LocalLoop>>> =
        const { RefCell::new(ManuallyDrop::new(Vec::new())) };

    /// The loop of the job that this thread runs.
    static JOB_OF: RefCell<Option<std::sync::Arc<Shared>>> = const { RefCell::new(None) };

    /// How many calls on this thread keep something from going on until they return: blocking drives of
    /// a loop inside of another's run, and jobs.
    static HOLDS: Cell<u32> = const { Cell::new(0) };
    /// The [bare](crate::bare) loops that live on this thread, by address; without a destructor, as above.
    static BARE: RefCell<ManuallyDrop<Vec<*const ()>>> =
        const { RefCell::new(ManuallyDrop::new(Vec::new())) };

    /// What ends the loops that are left when the thread ends.
    static LEFT: EndLoopsAtThreadExit = const { EndLoopsAtThreadExit };
}

/// Ends the loops of a thread that ends: executors that were forgotten, or lie in a thread-local that
/// is destroyed later.
struct EndLoopsAtThreadExit;

impl Drop for EndLoopsAtThreadExit {
    fn drop(&mut self) {
        // Inside of a run this is a process that exits in the middle of a poll: nothing can be ended.
        if !sync::current().is_null() {
            return;
        }
        // A destructor may leave another loop behind, and that one's the next: not for ever.
        for _ in 0..ROUNDS {
            for local in HOMES.with(|homes| {
                homes.borrow().iter().map(|home| home.local.clone()).collect::<Vec<_>>()
            }) {
                local.close();
                move_out(&local);
                local.tell_end();
            }
        }
    }
}

/// The loop that lives on this thread and has these run queues.
#[inline]
pub(crate) fn home(run_queues: &Arc<RunQueues>) -> Option<Rc<Local>> {
    find(RunQueues::address(run_queues))
}

/// Whether the loop with these run queues lives on this thread, bare or not: then nothing of it runs while the
/// thread blocks.
pub(crate) fn lives_here(run_queues: &Arc<RunQueues>) -> bool {
    let bare = || BARE.with(|bare| bare.borrow().contains(&RunQueues::address(run_queues)));
    home(run_queues).is_some() || bare()
}

/// A bare loop begins to live on this thread.
pub(crate) fn move_in_bare(run_queues: &Arc<RunQueues>) {
    BARE.with(|bare| bare.borrow_mut().push(RunQueues::address(run_queues)));
}

/// Its life is over.
pub(crate) fn move_out_bare(run_queues: &Arc<RunQueues>) {
    BARE.with(|bare| {
        let mut bare = bare.borrow_mut();
        bare.retain(|address| *address != RunQueues::address(run_queues));
        if bare.is_empty() {
            **bare = Vec::new(); // as in `move_out`
        }
    });
}

/// The loop whose run this thread is inside.
#[inline]
pub(crate) fn current() -> Option<Rc<Local>> {
    let address = sync::current();
    if address.is_null() { None } else { find(address) }
}

/// The loop that lives on this thread and has this number.
pub(crate) fn numbered(number: LoopNumber) -> Option<Rc<Local>> {
    HOMES.with(|homes| {
        let homes = homes.borrow();
        let home = homes.iter().find(|home| home.local.shared.number == number);
        home.map(|home| home.local.clone())
    })
}

/// Looks at the loop whose run this thread is inside, which costs less than [`current`]. It is a look under a
/// borrow: `look` calls no user code. Where it takes the lock of a virtual clock, that may allocate once another
/// thread has it too; an allocator that makes or drops an executor then would find the borrow, and panic.
#[inline(always)]
pub(crate) fn with_current<R>(look: impl FnOnce(&Local) -> Option<R>) -> Option<R> {
    let address = sync::current();
    if address.is_null() { None } else { with(address, |local| look(local)) }
}

/// The loop of this thread with this address.
#[inline]
fn find(address: *const ()) -> Option<Rc<Local>> {
    with(address, |local| Some(local.clone()))
}

#[inline(always)]
fn with<R>(address: *const (), look: impl FnOnce(&Rc<Local>) -> Option<R>) -> Option<R> {
    // There is always access, as it has no destructor; this is the way that is inlined.
    let found = HOMES.try_with(|homes| {
        let homes = homes.borrow();
        let is_it = |home: &&LocalLoop| ptr::eq(home.address, address);
        // Most threads have one.
        let home = homes.first().filter(is_it).or_else(|| homes.iter().find(is_it))?;
        look(&home.local)
    });
    found.ok().flatten()
}

/// Runs a job of the loop's.
pub(crate) fn in_job_of<R>(shared: std::sync::Arc<Shared>, job: impl FnOnce() -> R) -> R {
    struct Outer(Option<std::sync::Arc<Shared>>);
    impl Drop for Outer {
        fn drop(&mut self) {
            HOLDS.set(HOLDS.get() - 1);
            let gone = JOB_OF.replace(self.0.take());
            drop(gone);
        }
    }
    HOLDS.set(HOLDS.get() + 1);
    let _outer = Outer(JOB_OF.replace(Some(shared)));
    job()
}

/// The loop of the job that this thread runs, if it runs one.
pub(crate) fn job_of() -> Option<std::sync::Arc<Shared>> {
    JOB_OF.try_with(|job| job.borrow().clone()).ok().flatten()
}

/// While it lives, a loop is driven by a call that blocks, and the others whose runs this thread is inside
/// cannot go on.
pub(crate) struct Held(Vec<Rc<Local>>);

impl Held {
    /// `None`: this thread is inside of no run.
    #[inline]
    pub(crate) fn by(driven: &Local) -> Option<Self> {
        (!sync::current().is_null()).then(|| Self::all_but(driven))
    }

    #[inline(never)]
    fn all_but(driven: &Local) -> Self {
        let held: Vec<_> = HOMES.with(|homes| {
            let homes = homes.borrow();
            let others = homes.iter().filter(|home| !ptr::eq(home.address, driven.address()));
            let inside = others.filter(|home| home.local.scheduler.side.is_entered());
            inside.map(|home| home.local.clone()).collect()
        });
        held.iter().for_each(|local| local.held.set(local.held.get() + 1));
        HOLDS.set(HOLDS.get() + u32::from(!held.is_empty()));
        Self(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.iter().for_each(|local| local.held.set(local.held.get() - 1));
        HOLDS.set(HOLDS.get() - u32::from(!self.0.is_empty()));
    }
}

/// Whether a task of the loop of these run queues, which has not ended, cannot end before what this thread is at
/// returns: to wait for it in a poll is to wait for ever.
#[inline]
pub(crate) fn is_held(run_queues: &Arc<RunQueues>, task: TaskId) -> bool {
    let is_held = || home(run_queues).is_some_and(|local| local.held.get() > 0);
    HOLDS.get() > 0 && (runs_job_of(task) || is_held())
}

/// Whether there are tasks that could need this thread for their end.
pub(crate) fn is_needed() -> bool {
    HOLDS.get() > 0 || HOMES.with(|homes| !homes.borrow().is_empty())
}

/// Whether this thread runs the job of this task.
#[inline]
pub(crate) fn is_own_job(task: TaskId) -> bool {
    HOLDS.get() > 0 && runs_job_of(task)
}

/// The loop begins to live on this thread.
pub(crate) fn register(local: &Rc<Local>) {
    let home = LocalLoop { address: local.address(), local: local.clone() };
    room::put(home, |change| HOMES.with(|homes| change(&mut homes.borrow_mut())));
    // From here on there is something to be ended with the thread. Where that is ending already, an
    // executor that is dropped in time is ended by its own drop.
    let _ = LEFT.try_with(|_| ());
}

/// The loop's life on this thread is over.
pub(crate) fn move_out(local: &Rc<Local>) {
    // Dropped after the borrow has ended.
    let _gone = HOMES.with(|homes| {
        let mut homes = homes.borrow_mut();
        let at = homes.iter().position(|home| Rc::ptr_eq(&home.local, local))?;
        Some(homes.swap_remove(at))
    });
    // Without a destructor, this is what frees it.
    room::thin(|change| HOMES.with(|homes| change(&mut homes.borrow_mut())));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_round_and_pass_over_the_loops_that_live() {
        let mut loops = Loops { last: NonZeroU64::MAX, all: Vec::new() };
        loops.all.push((LoopNumber(NonZeroU64::MIN), Weak::new()));
        let drawn = [loops.draw(), loops.draw()].map(|number| number.0.get());
        assert_eq!(drawn, [2, 3]);
    }
}
