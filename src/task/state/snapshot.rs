//! The transitions of the state word: pure functions from one value to the next, and to what the
//! caller then has to do.

use super::{
    ABORT, CANCEL, CancelRequest, DECIDED, DONE, Detached, GUARDED, JOIN, PINNED, PROTECTION,
    QUEUE_OWNS_REF, QUEUED, REF, Request, Route, ScheduleAction, WAKER, WOKEN,
};

/// A value the word had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Snapshot(pub(super) usize);

impl Snapshot {
    pub(crate) fn is_done(self) -> bool {
        self.0 & DONE != 0
    }
    pub(crate) fn is_queued(self) -> bool {
        self.0 & QUEUED != 0
    }
    pub(crate) fn is_woken(self) -> bool {
        self.0 & WOKEN != 0
    }
    /// Whether a poll has nothing to heed: no remote wake that it would answer, and no request.
    #[inline]
    pub(crate) fn is_quiet(self) -> bool {
        self.0 & (WOKEN | CANCEL | ABORT) == 0
    }
    /// Whether a wake is all that came with the entry in the injection stack.
    #[inline]
    pub(crate) fn is_wake_alone(self) -> bool {
        self.0 & (WOKEN | CANCEL | ABORT | DONE | QUEUE_OWNS_REF) == WOKEN
    }
    /// Whether the loop's reference is with the entry in the injection stack.
    pub(crate) fn queue_owns_ref(self) -> bool {
        self.0 & QUEUE_OWNS_REF != 0
    }
    /// Whether it was asked to end, whatever that comes to.
    #[inline]
    pub(crate) fn is_requested(self) -> bool {
        self.0 & (CANCEL | ABORT) != 0
    }
    /// Whether a request ends it at its next suspension.
    #[inline]
    pub(crate) fn is_ending(self) -> bool {
        self.is_requested()
            && match self.protection() {
                PINNED => false,
                GUARDED => self.0 & ABORT != 0,
                _ => true,
            }
    }
    /// Whether a cancel is pending, to be honoured or refused.
    pub(crate) fn is_asked(self) -> bool {
        self.0 & CANCEL != 0
    }
    /// Whether a guard had, or has, the say over a pending cancel.
    pub(crate) fn is_heeded(self) -> bool {
        self.is_asked() && matches!(self.protection(), GUARDED | DECIDED)
    }
    pub(crate) fn is_pinned(self) -> bool {
        self.protection() == PINNED
    }
    pub(super) fn protection(self) -> usize {
        self.0 & PROTECTION
    }
    pub(crate) fn requested(self) -> Option<Request> {
        let abort = (self.0 & ABORT != 0).then_some(Request::Abort);
        abort.or((self.0 & CANCEL != 0).then_some(Request::Cancel))
    }
    pub(crate) fn has_waker(self) -> bool {
        self.0 & WAKER != 0
    }
    pub(crate) fn references(self) -> usize {
        self.0 / REF
    }

    /// One wake from another thread. `None`: the task is done, nothing is to be published.
    pub(super) fn wake(self) -> Option<(Self, ScheduleAction)> {
        if self.is_done() {
            return None;
        }
        Some((
            Self(self.0 | QUEUED | WOKEN),
            if self.is_queued() { ScheduleAction::Nothing } else { ScheduleAction::Push },
        ))
    }

    /// One request to end. `None`: there is nothing to change.
    pub(super) fn request(
        self,
        what: Request,
        route: Route,
    ) -> (Option<Self>, CancelRequest, ScheduleAction) {
        let pending = self.is_requested();
        let answer =
            if pending { CancelRequest::AlreadyRequested } else { CancelRequest::Requested };
        if self.is_done() {
            return (None, CancelRequest::Finished, ScheduleAction::Nothing);
        }
        let flag = if what == Request::Abort { ABORT } else { CANCEL };
        if self.0 & flag != 0 || (pending && what == Request::Cancel) {
            return (None, answer, ScheduleAction::Nothing);
        }
        match route {
            Route::Local => (Some(Self(self.0 | flag)), answer, ScheduleAction::EnqueueUrgent),
            Route::Remote => {
                let then =
                    if self.is_queued() { ScheduleAction::Nothing } else { ScheduleAction::Push };
                (Some(Self(self.0 | flag | QUEUED)), answer, then)
            }
        }
    }

    /// The first guard is made.
    pub(super) fn guard(self) -> Option<Self> {
        let free = !self.is_done() && self.protection() == 0;
        free.then_some(Self(self.0 | GUARDED))
    }

    /// The last guard is gone: a request that is pending now decides.
    pub(super) fn unguard(self, route: Route) -> (Option<Self>, ScheduleAction) {
        if self.is_done() || self.protection() != GUARDED {
            return (None, ScheduleAction::Nothing);
        }
        let bare = self.0 & !PROTECTION;
        if !self.is_asked() {
            return (Some(Self(bare)), ScheduleAction::Nothing);
        }
        match route {
            Route::Local => (Some(Self(bare | DECIDED)), ScheduleAction::EnqueueUrgent),
            Route::Remote => {
                let then =
                    if self.is_queued() { ScheduleAction::Nothing } else { ScheduleAction::Push };
                (Some(Self(bare | DECIDED | QUEUED)), then)
            }
        }
    }

    /// A guard has the request forgotten.
    pub(super) fn refuse(self) -> Option<Self> {
        let open = self.protection() == GUARDED && self.0 & (ABORT | DONE) == 0;
        (open && self.is_asked()).then_some(Self(self.0 & !CANCEL))
    }

    /// The task's blocking job starts.
    pub(super) fn pin(self) -> Option<Self> {
        let free = !self.is_done() && !self.is_requested() && self.protection() == 0;
        free.then_some(Self(self.0 | PINNED))
    }

    /// The handle goes without having taken the outcome.
    pub(super) fn detach(self) -> (Option<Self>, Detached) {
        if self.is_done() {
            (None, Detached::HasOutcome)
        } else if self.has_waker() {
            (Some(Self(self.0 & !(JOIN | WAKER))), Detached::HasWaker)
        } else {
            let next = Self((self.0 & !JOIN) - REF);
            (Some(next), if next.references() == 0 { Detached::Last } else { Detached::Released })
        }
    }
}
