//! How objects come to a loop, and go.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::{Arc, Weak};

use super::Local;
use super::io::IoTicket;
use crate::error::discard;
use crate::runtime::context;
use crate::runtime::control::tell;
use crate::runtime::driver::{Direction, Wanted};
use crate::runtime::objects::{At, Post, Source};

/// What the system says of an object that is not in the list.
const NOT_LISTED: i32 = rustix::io::Errno::NOENT.raw_os_error();

impl Local {
    /// Has the object registered for this direction, and says where it is.
    pub(super) fn register(
        &self,
        source: &Source,
        object: BorrowedFd<'_>,
        direction: Direction,
    ) -> io::Result<usize> {
        let found = self.io.objects.borrow().find(source.at());
        if let Some(place) = found {
            match self.register_at(place, source, object, direction) {
                // Another loop has taken it away, and what tells this one is on its way.
                Err(error) if error.raw_os_error() == Some(NOT_LISTED) => self.leave(place, source),
                answer => return answer,
            }
        }
        self.need_driver()?;
        let place = self.enter(source, object);
        self.register_at(place, source, object, direction).inspect_err(|_| {
            if self.io.objects.borrow().is_registered(place, direction) == (false, false) {
                self.leave(place, source);
            }
        })
    }

    fn enter(&self, source: &Source, object: BorrowedFd<'_>) -> usize {
        let list = self.io.list.get().map_or_else(Weak::new, Arc::downgrade);
        source.enter(&self.shared, object, || {
            let post = |place| {
                let at = At { place, ..source.at() };
                Post::new(at, &self.shared, list, object.as_raw_fd())
            };
            self.io.objects.borrow_mut().enter(post)
        })
    }

    fn register_at(
        &self,
        place: usize,
        source: &Source,
        object: BorrowedFd<'_>,
        direction: Direction,
    ) -> io::Result<usize> {
        let (is_registered, has_other) = self.io.objects.borrow().is_registered(place, direction);
        if !is_registered {
            // Said before it is so: a driver may wake for it at once.
            self.io.objects.borrow_mut().set_registered(place, direction, true);
            let key = At { place, ..source.at() }.key();
            let wanted = Wanted { key, object, direction, has_other, home: &self.shared };
            let registered = self.io.ask(|driver| driver.register(wanted));
            if let Err(error) = registered {
                self.io.objects.borrow_mut().set_registered(place, direction, false);
                return Err(error);
            }
        }
        Ok(place)
    }

    fn leave(&self, place: usize, source: &Source) {
        let post = self.io.objects.borrow().post(place);
        if let Some(post) = post {
            source.left(&post);
            self.drop_object(&post);
        }
    }

    /// Lets an object go that its owner, or another loop, has taken away.
    pub(crate) fn drop_object(&self, post: &Arc<Post>) {
        let waiters = self.io.objects.borrow_mut().remove(post);
        if !waiters.is_empty() {
            let _entered = self.scheduler.side.enter();
            self.wake_all(waiters);
        }
    }

    fn forget_waiter(&self, at: At, direction: Direction, ticket: u64) {
        let waiter = self.io.objects.borrow_mut().forget(at, direction, ticket);
        discard(waiter);
    }
}

/// A future waits no more, on whichever loop it has waited, and wherever this is.
pub(crate) fn forget(at: At, direction: Direction, ticket: IoTicket) {
    let Some((home, ticket)) = ticket else { return };
    if let Some(local) = context::current().filter(|local| local.shared.number == home) {
        return local.forget_waiter(at, direction, ticket);
    }
    if let Some(shared) = home.find() {
        tell(&shared.run_queues, move |local| local.forget_waiter(at, direction, ticket));
    }
}
