//! What became of each task of a program: noted as it happens, on whichever thread, and audited at the end.
//!
//! Notes are relaxed: what one thread must be able to see of another's, it sees by the promises of the crate.

use std::array;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::thread::{self, ThreadId};

use sideloop::{
    CancelRequest, Canceller, Handle, JoinError, JoinHandle, Metrics, ShutdownReport, TaskId,
};

/// Locks, also when another thread panicked while it held the lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a task came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Task,
    /// Of the group: it has no handle of its own.
    Member,
    /// Runs on a thread of the pool.
    Job,
}

/// What may happen to a task.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    Polled,
    /// It came to its end, with a value; or with a panic.
    Returned,
    Panicked,
    /// The loop did not take it.
    Refused,
    /// Somebody was about to ask for its end; was told to be the one who did; it did not want to.
    Asked,
    Requested,
    Declined,
    /// A wake of it was about to be made; it was polled after so many.
    Woken,
    Seen,
    /// Its handle, or the group, said how it ended; or was dropped before.
    Value,
    Cancelled,
    PanicJoined,
    Closed,
    LetGo,
    /// The hook for panics that nobody joins was called.
    Told,
    OutputDropped,
}
use Event::*;

/// The account of one task.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) index: usize,
    pub(crate) kind: Kind,
    id: OnceLock<TaskId>,
    notes: [AtomicU32; OutputDropped as usize + 1],
    /// The threads that dropped its future, or its closure.
    drops: Mutex<Vec<ThreadId>>,
    /// What wakes it while it waits to be woken.
    pub(crate) waker: Mutex<Option<Waker>>,
    /// The task that it awaits.
    pub(crate) awaits: Mutex<Option<Canceller>>,
}

impl Record {
    pub(crate) fn note(&self, event: Event) {
        self.notes[event as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn count(&self, event: Event) -> u32 {
        self.notes[event as usize].load(Relaxed)
    }

    fn has(&self, event: Event) -> bool {
        self.count(event) > 0
    }

    /// It is being polled: every wake so far is answered by that.
    pub(crate) fn polled(&self) {
        self.note(Polled);
        self.notes[Seen as usize].store(self.count(Woken), Relaxed);
    }

    pub(crate) fn is_dropped(&self) -> bool {
        !lock(&self.drops).is_empty()
    }

    /// Notes what a request to end it found; `unknown`: it may not have been taken in yet.
    pub(crate) fn answered(&self, answer: CancelRequest, unknown: bool, faults: &Faults) {
        match answer {
            CancelRequest::Requested => self.note(Requested),
            CancelRequest::AlreadyRequested => {}
            CancelRequest::NotFound if unknown => {}
            gone => faults.unless(self.kind == Kind::Job || self.is_dropped(), || {
                format!("{gone:?}, but it lives: {self:?}")
            }),
        }
    }

    /// Its handle said that it ended like this.
    pub(crate) fn ended(self: &Arc<Self>, result: Result<Output, JoinError>, faults: &Faults) {
        let (event, fits) = match result {
            Ok(mut output) => {
                output.taken = true;
                (Value, Arc::ptr_eq(self, &output.token.record))
            }
            Err(JoinError::Panicked(payload)) => (PanicJoined, payload.message().is_some()),
            Err(JoinError::Cancelled) => (Cancelled, true),
            Err(JoinError::Closed) => (Closed, self.has(Refused) || faults.is_closed()),
            Err(_) => (Closed, false),
        };
        self.note(event);
        faults.unless(fits, || format!("an end that cannot be, {event:?}: {self:?}"));
        // A job may outlive its task.
        faults.unless(self.kind == Kind::Job || self.is_dropped(), || {
            format!("it is joined before its future is dropped: {self:?}")
        });
    }
}

/// What a future, a closure or an output owns.
pub(crate) struct Token {
    pub(crate) record: Arc<Record>,
    accounts: Arc<Accounts>,
    is_output: bool,
}

impl Drop for Token {
    fn drop(&mut self) {
        if !self.is_output {
            lock(&self.record.drops).push(thread::current().id());
        }
        self.accounts.live.fetch_sub(1, Relaxed);
    }
}

/// The value of a task.
pub(crate) struct Output {
    token: Token,
    taken: bool,
}

impl Output {
    /// Of a task that is about to return it.
    pub(crate) fn of(token: &Token) -> Self {
        token.record.note(Returned);
        let (record, accounts) = (token.record.clone(), token.accounts.clone());
        accounts.live.fetch_add(1, Relaxed);
        Self { token: Token { record, accounts, is_output: true }, taken: false }
    }
}

impl Drop for Output {
    /// J5: on the loop's thread, as long as there is one, unless it was given to somebody.
    fn drop(&mut self) {
        let Token { record, accounts, .. } = &self.token;
        record.note(OutputDropped);
        let there = record.kind == Kind::Job || accounts.on_loop();
        let fits = there || self.taken || accounts.faults.is_closed();
        accounts.faults.unless(fits, || format!("an output is dropped elsewhere: {record:?}"));
    }
}

/// A handle that is joined or let go, and its account.
pub(crate) struct Claim {
    pub(crate) record: Arc<Record>,
    /// `None` once it has been joined.
    pub(crate) handle: Option<JoinHandle<Output>>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            self.record.note(LetGo);
            handle.detach();
        }
    }
}

/// What is wrong.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    found: Mutex<Vec<String>>,
    pub(crate) handle: OnceLock<Handle>,
}

impl Faults {
    /// Whether the loop was asked to end.
    pub(crate) fn is_closed(&self) -> bool {
        self.handle.get().is_some_and(Handle::is_closed)
    }

    pub(crate) fn unless(&self, fits: bool, say: impl FnOnce() -> String) {
        if !fits {
            lock(&self.found).push(say());
        }
    }

    /// Panics if there is one.
    pub(crate) fn demand_none(&self) {
        let found = lock(&self.found);
        assert!(found.is_empty(), "{} faults:\n{}", found.len(), found.join("\n"));
    }
}

/// All accounts of a program.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    pub(crate) loop_thread: OnceLock<ThreadId>,
    pub(crate) faults: Faults,
    pub(crate) records: Mutex<Vec<Arc<Record>>>,
    live: AtomicUsize,
}

impl Accounts {
    /// An account for a task that is about to be spawned, and what its future is to own.
    pub(crate) fn open(self: &Arc<Self>, kind: Kind) -> Token {
        let mut records = lock(&self.records);
        let record = Arc::new(Record {
            index: records.len(),
            kind,
            id: OnceLock::new(),
            notes: array::from_fn(|_| AtomicU32::new(0)),
            drops: Mutex::default(),
            waker: Mutex::default(),
            awaits: Mutex::default(),
        });
        records.push(record.clone());
        self.live.fetch_add(1, Relaxed);
        Token { record, accounts: self.clone(), is_output: false }
    }

    /// The spawn has returned. A future that this very thread has dropped by now was refused.
    pub(crate) fn spawned(&self, record: &Record, id: TaskId) {
        self.faults.unless(record.id.set(id).is_ok(), || format!("spawned twice: {record:?}"));
        if lock(&record.drops).first() == Some(&thread::current().id()) {
            record.note(Refused);
            self.faults.unless(self.faults.is_closed(), || format!("refused: {record:?}"));
        }
    }

    pub(crate) fn on_loop(&self) -> bool {
        self.loop_thread.get() == Some(&thread::current().id())
    }

    /// How many futures, closures and outputs have not been dropped.
    pub(crate) fn live(&self) -> usize {
        self.live.load(Relaxed)
    }

    pub(crate) fn by_id(&self, id: TaskId) -> Option<Arc<Record>> {
        lock(&self.records).iter().find(|record| record.id.get() == Some(&id)).cloned()
    }

    /// Each task against what it and others have noted. `calm`: nobody but the audit ended the loop.
    pub(crate) fn audit_tasks(&self, calm: bool, group_dropped: bool) {
        let mut ids = HashMap::new();
        for record in lock(&self.records).iter() {
            let n = |event| record.count(event);
            let say = |what: &'static str| move || format!("{what}: {record:?}");
            let ends = [Value, Cancelled, PanicJoined, Closed, LetGo].map(n).iter().sum::<u32>();
            let unclaimed = record.kind == Kind::Member && group_dropped && ends == 0;
            let faults = &self.faults;
            faults.unless(ends == 1 || unclaimed, say("its handle did not resolve once"));
            let drops = lock(&record.drops).clone();
            faults.unless(drops.len() == 1, say("its future was not dropped once"));
            let there = drops.first() == self.loop_thread.get();
            faults.unless(
                there || record.has(Refused) || record.kind == Kind::Job,
                say("dropped elsewhere"),
            );
            faults.unless(n(OutputDropped) == n(Returned), say("its output was not dropped once"));
            faults.unless(n(Returned) + n(Panicked) <= 1, say("it ended more than once"));
            faults.unless(
                n(Value) <= n(Returned) && n(PanicJoined) <= n(Panicked),
                say("a foreign end"),
            );
            let left = record.kind == Kind::Job || n(Returned) + n(Panicked) == 0;
            faults.unless(left || n(Cancelled) + n(Closed) == 0, say("its end was lost"));
            faults.unless(n(Cancelled) == 0 || !calm || record.has(Asked), say("nobody asked"));
            faults.unless(n(Requested) <= 1 + n(Declined), say("too many were the first to ask"));
            let told = n(Told) + n(PanicJoined);
            let due = if calm { n(Panicked) } else { told.min(n(Panicked)) };
            faults.unless(told == due, say("its panic was not told once"));
            let idle = n(Polled) + n(Returned) + n(Panicked) == 0;
            faults.unless(idle || !record.has(Refused), say("refused, and polled"));
            let fresh = record.id.get().is_none_or(|id| ids.insert(*id, ()).is_none());
            faults.unless(fresh, say("its id is another's"));
        }
    }

    /// The loop's counters against the tasks, when nothing lives any more.
    pub(crate) fn audit_metrics(&self, metrics: &Metrics) {
        let records = lock(&self.records);
        let number = |which: &dyn Fn(&Record) -> bool| {
            records.iter().filter(|r| !r.has(Refused) && which(r)).count() as u64
        };
        // How a job ended whose handle was dropped, nobody knows.
        let known = |r: &Record| r.kind != Kind::Job || !r.has(LetGo);
        let value = |r: &Record| if r.kind == Kind::Job { r.has(Value) } else { r.has(Returned) };
        let panic =
            |r: &Record| if r.kind == Kind::Job { r.has(PanicJoined) } else { r.has(Panicked) };
        let unknown = number(&|r| !known(r));
        let fits = |counted: u64, which: &dyn Fn(&Record) -> bool| {
            let least = number(&|r| known(r) && which(r));
            (least..=least + unknown).contains(&counted)
        };
        let Metrics { spawned, finished, cancelled, panicked, live, .. } = *metrics;
        let all = spawned == number(&|_| true) && spawned == finished + cancelled + panicked;
        let each = fits(finished, &value) && fits(panicked, &panic);
        self.faults.unless(all && each && live == 0, || {
            format!("{metrics:?}, but {} accepted: {records:?}", number(&|_| true))
        });
    }

    /// The report of the shutdown against the tasks.
    pub(crate) fn audit_report(&self, report: &ShutdownReport, calm: bool) {
        let mut listed = HashMap::new();
        for (list, what) in [
            (&report.cancelled, Cancelled),
            (&report.aborted, Closed),
            (&report.panicked, Panicked),
        ] {
            for info in list {
                let record = self.by_id(info.id);
                let fits = record.as_ref().is_some_and(|record| match what {
                    _ if record.has(Refused) => false,
                    Panicked => record.has(Panicked),
                    Closed => !record.has(Value),
                    _ => true,
                });
                let once = listed.insert(info.id, ()).is_none();
                let say = || format!("reported in {report:?}: {record:?}");
                self.faults.unless(fits && once && !calm, say);
            }
        }
        for record in lock(&self.records).iter().filter(|r| r.kind == Kind::Task) {
            let stuck = [Refused, Returned, Panicked, Asked].iter().all(|e| !record.has(*e));
            let named = record.id.get().is_some_and(|id| listed.contains_key(id));
            self.faults.unless(named || !stuck, || format!("left out of {report:?}: {record:?}"));
        }
    }
}
