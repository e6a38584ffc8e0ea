//! The model's way to its end: from phase to phase (H1, H7, H8).

use super::model::Model;
use super::turns::{Drive, Phase, Stage, Then};

/// So many are asked to end in each turn, or a batch of them.
const ASKED: usize = 256;

impl Model {
    /// Goes from phase to phase. `true`: what lives is ended before the turn goes on.
    pub(crate) fn advance_shutdown(&mut self) -> bool {
        let Some((cancel, abort)) = self.plan else { return false };
        if self.phase == Phase::Running {
            self.phase = Phase::Draining;
            self.stage = Stage::Batch;
            if self.now < cancel.min(abort) {
                self.begin_drain();
            }
            self.take_in();
        }
        if self.phase == Phase::Draining && cancel <= abort && cancel <= self.now {
            self.phase = Phase::Cancelling;
            self.stage = Stage::Batch;
            self.to_ask = self.live();
            self.ask_some(self.batch.max(ASKED));
        } else if abort <= self.now && self.phase < Phase::Ended {
            self.stage = Stage::Batch;
            self.ask_some(usize::MAX);
            self.phase = Phase::Aborting;
            self.take_in_all();
            self.stage = Stage::Ending(self.live(), Then::Turn);
            return true;
        } else {
            self.ask_some(self.batch.max(ASKED));
        }
        false
    }

    /// Repeated callbacks end when a drain begins (H7).
    fn begin_drain(&mut self) {
        self.draining = true;
        for task in std::mem::take(&mut self.repeated) {
            if self.tasks[task].lives() {
                self.wake(task, true);
            }
        }
    }

    /// Of those that lived when the cancel phase began, some are asked in each turn.
    fn ask_some(&mut self, most: usize) {
        for task in self.to_ask.drain(..most.min(self.to_ask.len())).collect::<Vec<_>>() {
            if self.tasks[task].lives() {
                self.request(task, false, true);
            }
        }
    }

    pub(crate) fn is_over(&mut self) -> bool {
        let begun = self.phase > Phase::Running && self.phase < Phase::Ended;
        if begun && self.live().is_empty() && !self.has_new() {
            self.phase = Phase::Ended;
        }
        self.phase == Phase::Ended
    }

    pub(crate) fn close(&mut self) {
        if !self.live().is_empty() {
            self.note("end of a loop with live tasks");
        }
        self.phase = Phase::Ended;
        self.to_ask.clear();
        if self.drive == Drive::Run {
            self.drive = Drive::Close;
        }
        if !self.over {
            self.stage = Stage::Batch;
            self.take_in_all();
        }
        self.stage =
            if self.over { Stage::Outside } else { Stage::Ending(self.live(), Then::Close) };
    }
}
