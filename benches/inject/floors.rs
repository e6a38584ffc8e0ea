//! What a hand-off to another thread costs without any runtime: boxed closures through a channel, and
//! through a vector under a lock.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use harness::remote::{Remote, SPIN};

type Job = Box<dyn FnOnce() + Send>;

/// The channel of crossbeam, without a bound.
pub(crate) struct Channel<const SPINS: bool> {
    sender: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// The next job; `None` when all senders are gone.
fn receive(receiver: &Receiver<Job>, spins: bool) -> Option<Job> {
    let begun = Instant::now();
    while spins && begun.elapsed() < SPIN {
        match receiver.try_recv() {
            Ok(job) => return Some(job),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => std::hint::spin_loop(),
        }
    }
    receiver.recv().ok()
}

impl<const SPINS: bool> Remote for Channel<SPINS> {
    const NAME: &'static str = "crossbeam-channel";

    fn start() -> Self {
        let (sender, receiver) = crossbeam_channel::unbounded();
        let run = move || {
            while let Some(job) = receive(&receiver, SPINS) {
                job();
            }
        };
        Self { sender: Some(sender), thread: Some(thread::spawn(run)) }
    }

    fn post(&self, f: impl FnOnce() + Send + 'static) {
        let sender = self.sender.as_ref().expect("it is not dropped yet");
        sender.send(Box::new(f)).expect("the thread lives");
    }
}

impl<const SPINS: bool> Drop for Channel<SPINS> {
    fn drop(&mut self) {
        drop(self.sender.take());
        self.thread.take().map(JoinHandle::join);
    }
}

/// A lock around jobs, with a bell for when there are some.
pub(crate) trait Shelf: Send + Sync + Default + 'static {
    const NAME: &'static str;

    /// Adds a job, and rings if there was none.
    fn put(&self, job: Option<Job>);

    /// Takes all jobs; if `waits`, blocks while there are none.
    fn take(&self, jobs: &mut Vec<Option<Job>>, waits: bool);
}

#[derive(Default)]
pub(crate) struct OfStd {
    jobs: std::sync::Mutex<Vec<Option<Job>>>,
    bell: std::sync::Condvar,
}

impl Shelf for OfStd {
    const NAME: &'static str = "Mutex of std";

    fn put(&self, job: Option<Job>) {
        let mut jobs = self.jobs.lock().expect("no job runs under it");
        jobs.push(job);
        let first = jobs.len() == 1;
        drop(jobs);
        if first {
            self.bell.notify_one();
        }
    }

    fn take(&self, taken: &mut Vec<Option<Job>>, waits: bool) {
        let mut jobs = self.jobs.lock().expect("no job runs under it");
        while waits && jobs.is_empty() {
            jobs = self.bell.wait(jobs).expect("no job runs under it");
        }
        std::mem::swap(&mut *jobs, taken);
    }
}

#[derive(Default)]
pub(crate) struct OfParkingLot {
    jobs: parking_lot::Mutex<Vec<Option<Job>>>,
    bell: parking_lot::Condvar,
}

impl Shelf for OfParkingLot {
    const NAME: &'static str = "Mutex of parking_lot";

    fn put(&self, job: Option<Job>) {
        let mut jobs = self.jobs.lock();
        jobs.push(job);
        let first = jobs.len() == 1;
        drop(jobs);
        if first {
            self.bell.notify_one();
        }
    }

    fn take(&self, taken: &mut Vec<Option<Job>>, waits: bool) {
        let mut jobs = self.jobs.lock();
        while waits && jobs.is_empty() {
            self.bell.wait(&mut jobs);
        }
        std::mem::swap(&mut *jobs, taken);
    }
}

/// A thread that takes all there is from a shelf at once; no job is the last one.
pub(crate) struct Locked<S: Shelf, const SPINS: bool> {
    shelf: Arc<S>,
    thread: Option<JoinHandle<()>>,
}

fn work(shelf: &impl Shelf, spins: bool) {
    let mut jobs = Vec::new();
    loop {
        let begun = Instant::now();
        while spins && jobs.is_empty() && begun.elapsed() < SPIN {
            shelf.take(&mut jobs, false);
            std::hint::spin_loop();
        }
        if jobs.is_empty() {
            shelf.take(&mut jobs, true);
        }
        for job in jobs.drain(..) {
            let Some(job) = job else { return };
            job();
        }
    }
}

impl<S: Shelf, const SPINS: bool> Remote for Locked<S, SPINS> {
    const NAME: &'static str = S::NAME;

    fn start() -> Self {
        let shelf = Arc::new(S::default());
        let there = shelf.clone();
        Self { shelf, thread: Some(thread::spawn(move || work(&*there, SPINS))) }
    }

    fn post(&self, f: impl FnOnce() + Send + 'static) {
        self.shelf.put(Some(Box::new(f)));
    }
}

impl<S: Shelf, const SPINS: bool> Drop for Locked<S, SPINS> {
    fn drop(&mut self) {
        self.shelf.put(None);
        self.thread.take().map(JoinHandle::join);
    }
}
