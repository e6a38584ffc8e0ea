//! What a program may be made of. Its bytes come from a seed or from the fuzzer; each string of bytes is
//! some program, so one type serves both.
//!
//! A task is named by a number, taken modulo how many there are when it is named.

use std::fmt;

use arbitrary::Unstructured;

/// A loop, and what is done on it and to it.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// Of the order of polls; 0: first come, first served.
    pub(crate) seed: u64,
    pub(crate) batch: usize,
    pub(crate) scripts: Vec<Script>,
    /// What is done from outside of the run.
    pub(crate) outside: Vec<Op>,
    pub(crate) end: Finish,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}, batch {}, ends by {:?}", self.seed, self.batch, self.end)?;
        for (number, script) in self.scripts.iter().enumerate() {
            writeln!(f, "script {number}: {script:?}")?;
        }
        self.outside.iter().try_for_each(|op| writeln!(f, "outside: {op:?}"))
    }
}

/// What a task does.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    pub(crate) steps: Vec<Step>,
    /// What its destructor does.
    pub(crate) on_drop: Option<Act>,
    pub(crate) drop_panics: bool,
    pub(crate) output_panics: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    Act(Act),
    Yield,
    /// Pending until somebody wakes it.
    Wait,
    Sleep(Span),
    Join(usize),
    Guard,
    Unguard,
    Requested,
    Refuse,
    Panic,
}

/// What tasks, destructors and the outside can do.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Act {
    Spawn(usize, Via),
    Wake(usize, Via),
    Cancel(usize, How, Via),
    CancelById(usize, How, Via),
    DropHandle(usize, Via),
    /// A blocking join: here it must not block.
    Join(usize),
    JoinAtOnce(usize),
    /// A waker of no loop is left with the handle.
    Watch {
        task: usize,
        panics: bool,
    },
    Reset(usize, Span),
    Snapshot,
    Shutdown(Shut),
    /// A callback that does what of a script needs no waiting.
    Call(usize, When, Via),
}

/// When a callback is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Soon,
    After(Span),
    /// Again and again with this period, until its call of this number panics.
    Every(u64, u8),
}

/// From this thread, or from another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Via {
    Here,
    Afar,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Cancel,
    Abort,
    Within(Span),
}

/// `None`: for ever.
pub(crate) type Span = Option<u64>;

/// How long tasks may finish, and then how long they may clean up; without that they are aborted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shut {
    pub(crate) drain: Span,
    pub(crate) grace: Option<Span>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Op {
    Act(Act),
    Turn,
    UntilIdle,
    Advance(u64),
    ToNextDeadline,
    /// The clock jumps over whatever is due on the way.
    ClockAhead(u64),
    ClockBack(u64),
    /// So many tasks that end at once.
    Flood(usize, Via),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    Drop,
    Run,
}

/// The bytes, as numbers below a limit. What they do not say is 0.
pub(crate) struct Choices<'a, 'b>(pub(crate) &'a mut Unstructured<'b>);

impl Choices<'_, '_> {
    fn below(&mut self, limit: usize) -> usize {
        self.0.int_in_range(0..=limit - 1).unwrap_or(0)
    }

    /// A number of up to 62 bits.
    fn any(&mut self) -> u64 {
        self.0.int_in_range(0..=u64::MAX >> 2).unwrap_or(0)
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    pub(crate) fn program(&mut self) -> Program {
        let seed = self.below(8).saturating_sub(4) as u64;
        let batch = [64, 1, 2, 5][self.below(4)];
        let scripts = (0..=self.below(6)).map(|_| self.script()).collect();
        let outside = (0..=self.below(24)).map(|_| self.op()).collect();
        let end = if self.one_in(2) { Finish::Run } else { Finish::Drop };
        let seed = if seed == 0 { 0 } else { self.any() << 2 | seed };
        Program { seed, batch, scripts, outside, end }
    }

    fn script(&mut self) -> Script {
        Script {
            steps: self.steps(),
            on_drop: self.one_in(4).then(|| self.act()),
            drop_panics: self.one_in(10),
            output_panics: self.one_in(10),
        }
    }

    fn steps(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        // What chance brings together too seldom.
        if self.one_in(6) {
            steps.extend([Step::Guard, Step::Requested]);
            steps.extend(self.one_in(2).then_some(Step::Refuse));
        }
        steps.extend((0..self.below(9)).map(|_| self.step()));
        steps
    }

    fn step(&mut self) -> Step {
        match self.below(20) {
            0..3 => Step::Yield,
            3..5 => Step::Wait,
            5..8 => Step::Sleep(self.span()),
            8..10 => Step::Join(self.task()),
            10..12 => Step::Guard,
            12 => Step::Unguard,
            13 => Step::Requested,
            14 => Step::Refuse,
            15 => Step::Panic,
            _ => Step::Act(self.act()),
        }
    }

    fn act(&mut self) -> Act {
        match self.below(27) {
            0..6 => Act::Spawn(self.task(), self.via()),
            6..10 => Act::Wake(self.task(), self.via()),
            10..13 => Act::Cancel(self.task(), self.how(), self.via()),
            13..15 => Act::CancelById(self.task(), self.how(), self.via()),
            15..17 => Act::DropHandle(self.task(), self.via()),
            17 => Act::Join(self.task()),
            18 => Act::JoinAtOnce(self.task()),
            19 => Act::Watch { task: self.task(), panics: self.one_in(2) },
            20 | 21 => Act::Reset(self.task(), self.span()),
            22 => Act::Snapshot,
            24..27 => Act::Call(self.task(), self.when(), self.via()),
            _ => Act::Shutdown(self.shut()),
        }
    }

    fn op(&mut self) -> Op {
        match self.below(23) {
            0..9 => Op::Act(self.act()),
            9..12 => Op::Turn,
            12..14 => Op::UntilIdle,
            14..16 => Op::Advance(self.span().unwrap_or(u64::MAX)),
            16..18 => Op::ToNextDeadline,
            18 => Op::Flood(self.below(80), self.via()),
            20 | 21 => Op::ClockAhead(self.span().unwrap_or(u64::MAX)),
            22 => Op::ClockBack(self.span().unwrap_or(u64::MAX)),
            _ => Op::Act(Act::Spawn(self.task(), Via::Here)),
        }
    }

    fn task(&mut self) -> usize {
        self.below(12)
    }

    fn via(&mut self) -> Via {
        if self.one_in(4) { Via::Afar } else { Via::Here }
    }

    fn when(&mut self) -> When {
        match self.below(4) {
            0 => When::Soon,
            1 | 2 => When::After(self.span()),
            _ => When::Every(self.span().unwrap_or(u64::MAX).max(1), self.below(4) as u8 + 1),
        }
    }

    fn how(&mut self) -> How {
        match self.below(6) {
            0..2 => How::Cancel,
            2 | 3 => How::Abort,
            _ => How::Within(self.span()),
        }
    }

    /// Nanoseconds: few different ones, so that some are equal.
    fn span(&mut self) -> Span {
        match self.below(12) {
            11 => None,
            10 => Some(3_600_000_000_000 << self.below(20)),
            few => Some([0, 1, 2, 5, 500, 1_000_000][few % 6]),
        }
    }

    fn shut(&mut self) -> Shut {
        let drain = if self.one_in(2) { self.span() } else { Some(0) };
        Shut { drain, grace: self.one_in(2).then(|| self.span()) }
    }
}
