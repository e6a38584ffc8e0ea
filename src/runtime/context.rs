//! "Which loop am I on?" and "does this loop live on my thread?".

use std::cell::RefCell;
use std::rc::Rc;

use super::local::Local;
use crate::sync::{self, Arc};
use crate::task::mailbox::Mailbox;

std::thread_local! {
    /// The loops that live on this thread, whether or not they are being run.
    static HOMES: RefCell<Vec<Rc<Local>>> = const { RefCell::new(Vec::new()) };
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
    // While the thread's locals are being destroyed it has no loops.
    let found = HOMES.try_with(|homes| {
        let homes = homes.borrow();
        homes.iter().find(|local| std::ptr::eq(local.address(), address)).cloned()
    });
    found.ok().flatten()
}

/// The loop begins to live on this thread.
pub(crate) fn move_in(local: &Rc<Local>) {
    let _ = HOMES.try_with(|homes| homes.borrow_mut().push(local.clone()));
}

/// The loop's life on this thread is over.
pub(crate) fn move_out(local: &Rc<Local>) {
    // Dropped after the borrow has ended.
    let _gone = HOMES.try_with(|homes| {
        let mut homes = homes.borrow_mut();
        homes.iter().position(|other| Rc::ptr_eq(other, local)).map(|at| homes.swap_remove(at))
    });
}
