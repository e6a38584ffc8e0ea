//! The channel of models: as the real one, as far as it is used; a wait that finds nothing is over after a while.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use crossbeam_channel::{RecvTimeoutError, TryRecvError};

use super::{Mutex, modelled::thread};

/// What was sent, and whether more may be.
type Channel<T> = Arc<Mutex<(VecDeque<T>, bool)>>;

pub(crate) struct Sender<T>(Channel<T>);

pub(crate) struct Receiver<T>(Channel<T>);

pub(crate) fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    let channel = Arc::new(Mutex::new((VecDeque::new(), true)));
    (Sender(channel.clone()), Receiver(channel))
}

impl<T> Sender<T> {
    pub(crate) fn send(&self, value: T) -> Result<(), ()> {
        self.0.lock().0.push_back(value);
        Ok(())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.lock().1 = false;
    }
}

impl<T> Receiver<T> {
    pub(crate) fn recv_timeout(&self, _: Duration) -> Result<T, RecvTimeoutError> {
        thread::yield_now();
        self.try_recv().map_err(|error| match error {
            TryRecvError::Empty => RecvTimeoutError::Timeout,
            TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
        })
    }

    pub(crate) fn try_recv(&self) -> Result<T, TryRecvError> {
        let mut channel = self.0.lock();
        let none = if channel.1 { TryRecvError::Empty } else { TryRecvError::Disconnected };
        channel.0.pop_front().ok_or(none)
    }
}
