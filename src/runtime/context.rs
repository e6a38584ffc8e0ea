//! "Which loop am I on?" and "does this loop live on my thread?".

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::rc::Rc;

use super::local::Local;
use crate::sync::{self, Arc};
use crate::task::mailbox::Mailbox;

std::thread_local! {
    /// The loops that live on this thread, whether or not they are being run. It has no destructor,
    /// so that it can be asked while the thread's other locals are being destroyed.
    static HOMES: RefCell<ManuallyDrop<Vec<Rc<Local>>>> =
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
        while let Some(local) = HOMES.with(|homes| homes.borrow().first().cloned()) {
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

/// The loop whose run this thread is inside.
#[inline]
pub(crate) fn current() -> Option<Rc<Local>> {
    let address = sync::current();
    if address.is_null() { None } else { find(address) }
}

/// The loop of this thread with this address.
fn find(address: *const ()) -> Option<Rc<Local>> {
    HOMES.with(|homes| {
        let homes = homes.borrow();
        homes.iter().find(|local| std::ptr::eq(local.address(), address)).cloned()
    })
}

/// The loop begins to live on this thread.
pub(crate) fn move_in(local: &Rc<Local>) {
    HOMES.with(|homes| homes.borrow_mut().push(local.clone()));
    // From here on there is something to be ended with the thread. Where that is ending already, an
    // executor that is dropped in time is ended by its own drop.
    let _ = LEFT.try_with(|_| ());
}

/// The loop's life on this thread is over.
pub(crate) fn move_out(local: &Rc<Local>) {
    // Dropped after the borrow has ended.
    let _gone = HOMES.with(|homes| {
        let mut homes = homes.borrow_mut();
        let at = homes.iter().position(|other| Rc::ptr_eq(other, local))?;
        let gone = homes.swap_remove(at);
        if homes.is_empty() {
            **homes = Vec::new(); // without a destructor, this is what frees it
        }
        Some(gone)
    });
}
