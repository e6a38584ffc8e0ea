//! "Which loop am I on?", "does this loop live on my thread?", and "where is the loop of that number?".

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::mem::ManuallyDrop;
use std::num::NonZeroU64;
use std::ptr;
use std::rc::Rc;
use std::sync::Weak;

use parking_lot::Mutex;

use super::local::Local;
use super::shared::Shared;
use crate::sync::{self, Arc};
use crate::task::mailbox::Mailbox;

/// All loops by number: for what refers to a loop in hot paths, but rarely from outside of it. A number
/// is copied where a weak reference would have to be counted.
static LOOPS: Mutex<Loops> = Mutex::new(Loops { last: NonZeroU64::MIN, all: BTreeMap::new() });

#[derive(Debug)]
struct Loops {
    last: NonZeroU64,
    all: BTreeMap<Number, Weak<Shared>>,
}

impl Loops {
    /// The next number that no loop has which can be found. At one in a nanosecond they come round after
    /// 584 years.
    fn draw(&mut self) -> Number {
        loop {
            self.last = self.last.checked_add(1).unwrap_or(NonZeroU64::MIN);
            if !self.all.contains_key(&Number(self.last)) {
                return Number(self.last);
            }
        }
    }
}

/// A loop's number, unique among those that live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Number(NonZeroU64);

impl Number {
    /// Makes a loop's shared part with a new number, by which it is found as long as it lives.
    pub(crate) fn give(make: impl FnOnce(Self) -> Shared) -> std::sync::Arc<Shared> {
        let number = LOOPS.lock().draw();
        let shared = std::sync::Arc::new(make(number));
        LOOPS.lock().all.insert(number, std::sync::Arc::downgrade(&shared));
        shared
    }

    /// The loop, if it still is one.
    pub(crate) fn find(self) -> Option<std::sync::Arc<Shared>> {
        LOOPS.lock().all.get(&self)?.upgrade()
    }

    /// The loop is gone.
    pub(super) fn forget(self) {
        let gone = LOOPS.lock().all.remove(&self);
        drop(gone);
    }
}

/// A loop of this thread, with its address at hand.
struct Home {
    address: *const (),
    local: Rc<Local>,
}

std::thread_local! {
    /// The loops that live on this thread, whether or not they are being run. It has no destructor,
    /// so that it can be asked while the thread's other locals are being destroyed.
    static HOMES: RefCell<ManuallyDrop<Vec<Home>>> =
        const { RefCell::new(ManuallyDrop::new(Vec::new())) };

    /// The [bare](crate::bare) loops that live on this thread, by address; without a destructor, as above.
    static BARE: RefCell<ManuallyDrop<Vec<*const ()>>> =
        const { RefCell::new(ManuallyDrop::new(Vec::new())) };

    /// What ends the loops that are left when the thread ends.
    static LEFT: Left = const { Left };
}

/// Ends the loops of a thread that ends: executors that were forgotten, or lie in a thread-local that
/// is destroyed later.
struct Left;

impl Drop for Left {
    fn drop(&mut self) {
        // Inside of a run this is a process that exits in the middle of a poll: nothing can be ended.
        if !sync::current().is_null() {
            return;
        }
        while let Some(local) =
            HOMES.with(|homes| homes.borrow().first().map(|home| home.local.clone()))
        {
            local.close();
            move_out(&local);
        }
    }
}

/// The loop that lives on this thread and has this mailbox.
#[inline]
pub(crate) fn home(mailbox: &Arc<Mailbox>) -> Option<Rc<Local>> {
    find(Mailbox::address(mailbox))
}

/// Whether the loop with this mailbox lives on this thread, bare or not: then nothing of it runs while the
/// thread blocks.
pub(crate) fn lives_here(mailbox: &Arc<Mailbox>) -> bool {
    let bare = || BARE.with(|bare| bare.borrow().contains(&Mailbox::address(mailbox)));
    home(mailbox).is_some() || bare()
}

/// A bare loop begins to live on this thread.
pub(crate) fn move_in_bare(mailbox: &Arc<Mailbox>) {
    BARE.with(|bare| bare.borrow_mut().push(Mailbox::address(mailbox)));
}

/// Its life is over.
pub(crate) fn move_out_bare(mailbox: &Arc<Mailbox>) {
    BARE.with(|bare| {
        let mut bare = bare.borrow_mut();
        bare.retain(|address| *address != Mailbox::address(mailbox));
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

/// The loop of this thread with this address.
#[inline]
fn find(address: *const ()) -> Option<Rc<Local>> {
    HOMES.with(|homes| {
        let homes = homes.borrow();
        homes.iter().find(|home| ptr::eq(home.address, address)).map(|home| home.local.clone())
    })
}

/// The loop begins to live on this thread.
pub(crate) fn move_in(local: &Rc<Local>) {
    let home = Home { address: local.address(), local: local.clone() };
    HOMES.with(|homes| homes.borrow_mut().push(home));
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
        let gone = homes.swap_remove(at);
        if homes.is_empty() {
            **homes = Vec::new(); // without a destructor, this is what frees it
        }
        Some(gone)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_round_and_pass_over_the_loops_that_live() {
        let mut loops = Loops { last: NonZeroU64::MAX, all: BTreeMap::new() };
        loops.all.insert(Number(NonZeroU64::MIN), Weak::new());
        let drawn = [loops.draw(), loops.draw()].map(|number| number.0.get());
        assert_eq!(drawn, [2, 3]);
    }
}
