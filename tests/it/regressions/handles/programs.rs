//! What a program is, and how one is drawn.

use std::time::Duration;

use sideloop::Shutdown;

/// A whole program.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) batch: usize,
    pub(crate) capacity: Option<usize>,
    /// How it ends; `None`: calmly.
    pub(crate) end: Option<Shutdown>,
    pub(crate) threads: Vec<Vec<Op>>,
}

/// What a thread does. A number picks a handle or a waker of those there are.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Spawn(Way, Vec<Step>),
    Wake(usize, Wakes),
    End(usize, Through, Call),
    /// Joins within a time.
    Join(usize, Duration),
    /// Detaches a task, or cancels it by dropping a handle.
    LetGo(usize, bool),
    JoinNext,
    /// Cancels the group, or drops it.
    EndGroup(bool),
    Look,
    Pause(u64),
    TakeDown(TakeDown),
}

/// What a task does, one after the other.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Yield,
    Sleep(Duration),
    /// Waits until it is woken; with a limit; with a guard.
    Wait,
    WaitAtMost(Duration),
    Guarded(Reaction),
    Await(usize),
    Next,
    Spawn(Way),
    Wake(usize),
    End(usize, Through, Call),
    EndSelf(Call),
    Panic,
    TakeDown(TakeDown),
}

/// What a task with a guard does when it is asked to end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reaction {
    CleanUp,
    Refuse,
    /// Drops the guard.
    Leave,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    Spawn,
    With,
    Try,
    Named,
    /// Local to the loop's thread, where it is done there.
    Local,
    Call,
    CallAfter(Duration),
    Job,
    Member,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Wakes {
    ByValue,
    ByRef,
    Clone,
    Drop,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Through {
    Handle,
    Canceller,
    Id,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    Cancel,
    Abort,
    Within(Duration),
}

#[derive(Clone, Debug)]
pub(crate) enum TakeDown {
    Request(Shutdown),
    Shutdown(Shutdown),
    Drop,
}

/// Gives a number below the limit that it is given.
pub(crate) struct Draw<'a>(pub(crate) &'a mut dyn FnMut(u64) -> u64);

impl Draw<'_> {
    pub(crate) fn program(&mut self) -> Program {
        let threads = self.one_of([2, 3, 4]);
        Program {
            batch: self.one_of([64, 1, 3]),
            capacity: self.one_of([None, Some(1), Some(2), Some(3)]),
            end: self.chance(2).then(|| self.shutdown()),
            threads: (0..threads).map(|_| self.list(12, Self::op)).collect(),
        }
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.0)(limit)
    }

    fn chance(&mut self, of: u64) -> bool {
        self.below(of) == of - 1
    }

    fn one_of<T: Copy, const N: usize>(&mut self, list: [T; N]) -> T {
        list[self.below(N as u64) as usize]
    }

    fn list<T>(&mut self, most: u64, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| item(self)).collect()
    }

    fn pick(&mut self) -> usize {
        self.below(8) as usize
    }

    fn short(&mut self) -> Duration {
        Duration::from_micros(self.one_of([0, 1, 20, 150]))
    }

    fn grace(&mut self) -> Duration {
        let (short, long) = (Duration::from_micros(200), Duration::from_millis(1));
        self.one_of([Duration::ZERO, short, long, Duration::MAX])
    }

    fn op(&mut self) -> Op {
        match self.below(16) {
            0..=4 => Op::Spawn(self.way(), self.list(3, Self::step)),
            5 | 6 => {
                let how = [Wakes::ByValue, Wakes::ByRef, Wakes::Clone, Wakes::Drop];
                Op::Wake(self.pick(), self.one_of(how))
            }
            7 | 8 => Op::End(self.pick(), self.through(), self.call()),
            9 | 10 => {
                let short = self.short();
                Op::Join(self.pick(), self.one_of([Duration::ZERO, short, Duration::MAX]))
            }
            11 => Op::LetGo(self.pick(), self.chance(2)),
            12 => Op::JoinNext,
            13 if self.chance(4) => Op::EndGroup(self.chance(2)),
            13 => Op::Look,
            14 if self.chance(4) => Op::TakeDown(self.take_down()),
            _ => Op::Pause(self.below(2000)),
        }
    }

    fn step(&mut self) -> Step {
        match self.below(16) {
            0 => Step::Yield,
            1 => Step::Sleep(self.short()),
            2..=4 => Step::Wait,
            5 => Step::WaitAtMost(self.short()),
            6 | 7 => {
                let reactions = [Reaction::CleanUp, Reaction::Refuse, Reaction::Leave];
                Step::Guarded(self.one_of(reactions))
            }
            8 | 9 => Step::Await(self.pick()),
            10 => Step::Next,
            11 => Step::Spawn(self.way()),
            12 => Step::Wake(self.pick()),
            13 if self.chance(2) => Step::EndSelf(self.call()),
            13 => Step::End(self.pick(), self.through(), self.call()),
            14 if self.chance(4) => Step::TakeDown(self.take_down()),
            _ => Step::Panic,
        }
    }

    fn way(&mut self) -> Way {
        use Way::{Call, CallAfter, Job, Local, Member, Named, Spawn, Try, With};
        let later = CallAfter(self.short());
        self.one_of([Spawn, Spawn, With, Try, Named, Local, Call, Job, Member, later])
    }

    fn through(&mut self) -> Through {
        self.one_of([Through::Handle, Through::Canceller, Through::Id])
    }

    fn call(&mut self) -> Call {
        let within = Call::Within(self.grace());
        self.one_of([Call::Cancel, Call::Abort, within])
    }

    fn take_down(&mut self) -> TakeDown {
        match self.below(3) {
            0 => TakeDown::Request(self.shutdown()),
            1 => TakeDown::Shutdown(self.shutdown()),
            _ => TakeDown::Drop,
        }
    }

    fn shutdown(&mut self) -> Shutdown {
        let how = if self.chance(2) { Shutdown::graceful(self.grace()) } else { Shutdown::now() };
        if self.chance(2) { how.drain(self.grace()) } else { how }
    }
}
