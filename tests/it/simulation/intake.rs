//! How the model takes in what came: so much of each lane in a turn, oldest first (T1, T3).

use std::collections::VecDeque;

use super::model::{Answer, Entry, Model};
use super::program::How;
use super::turns::Phase;

/// The least that a turn takes in of each lane.
const LEAST: usize = 256;

/// The ways in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    Known,
    Control,
    New,
}

/// What was taken of a lane: the newest `reversed` of it have been put in order.
#[derive(Debug, Default)]
pub(crate) struct Hand {
    entries: VecDeque<Entry>,
    reversed: usize,
}

impl Model {
    /// Whether anything came that has not been handled.
    pub(crate) fn has_arrivals(&self) -> bool {
        self.has_pushed() || self.has_in_hand()
    }

    pub(crate) fn has_pushed(&self) -> bool {
        !self.lanes.iter().all(VecDeque::is_empty)
    }

    pub(crate) fn has_in_hand(&self) -> bool {
        !self.hands.iter().all(|hand| hand.entries.is_empty())
    }

    /// Whether new tasks are in hand, and whether any are on their way.
    fn new_tasks(&self) -> (bool, bool) {
        let lane = Lane::New as usize;
        (!self.hands[lane].entries.is_empty(), !self.lanes[lane].is_empty())
    }

    pub(crate) fn has_new(&self) -> bool {
        self.new_tasks() != (false, false)
    }

    /// The first stage of a turn.
    pub(crate) fn take_in(&mut self) {
        if !self.has_arrivals() {
            return;
        }
        let most = self.batch.max(LEAST);
        self.look_at_all(most);
        self.take_in_known(most);
        let room = self.batch.saturating_sub(self.ready.len() + self.urgent.len());
        self.admit(room.max((self.batch + usize::from(self.odd)) / 2));
        self.run_requests(most);
    }

    /// Everything that came.
    pub(crate) fn take_in_all(&mut self) {
        for _ in 0..2 {
            self.look_at_all(usize::MAX);
            self.take_in_known(usize::MAX);
            self.admit(usize::MAX);
            self.run_requests(usize::MAX);
        }
    }

    fn look_at_all(&mut self, most: usize) {
        for lane in [Lane::Known, Lane::Control, Lane::New] {
            self.look(lane, most);
        }
    }

    fn look(&mut self, lane: Lane, most: usize) {
        let hand = &mut self.hands[lane as usize];
        if hand.entries.is_empty() {
            *hand = Hand { entries: std::mem::take(&mut self.lanes[lane as usize]), reversed: 0 };
            self.rounds += u64::from(lane == Lane::New && !hand.entries.is_empty());
        }
        let before = hand.reversed;
        hand.reversed = hand.entries.len().min(before.saturating_add(most));
        let seen: Vec<_> = hand.entries.iter().rev().take(hand.reversed).skip(before).collect();
        let seen: Vec<_> = seen.into_iter().copied().collect();
        for entry in seen {
            if let Entry::Task(task) = entry {
                if lane == Lane::Known && self.tasks[task].is_ending() {
                    self.urge(task);
                }
            }
        }
    }

    fn next(&mut self, lane: Lane) -> Option<Entry> {
        let hand = &mut self.hands[lane as usize];
        if hand.reversed < hand.entries.len() {
            return None;
        }
        hand.reversed = hand.reversed.saturating_sub(1);
        hand.entries.pop_front()
    }

    fn take_in_known(&mut self, most: usize) {
        for _ in 0..most {
            let Some(Entry::Task(task)) = self.next(Lane::Known) else { return };
            self.take_in_task(task);
        }
    }

    fn admit(&mut self, most: usize) {
        for _ in 0..most {
            let Some(Entry::Task(task)) = self.next(Lane::New) else { return };
            self.take_in_task(task);
            if self.phase == Phase::Cancelling {
                self.request(task, false, true);
            }
            for at in 0..self.deferred.len() {
                if matches!(self.deferred[at], Entry::ById(of, ..) if of == task) {
                    let request = self.deferred[at];
                    self.answer(request);
                }
            }
            self.deferred.retain(|entry| !matches!(entry, Entry::ById(of, ..) if *of == task));
        }
    }

    fn run_requests(&mut self, most: usize) {
        for _ in 0..most {
            let is_past = |entry: &&Entry| matches!(entry, Entry::ById(_, _, _, Some(round)) if self.is_past(*round));
            if let Some(request) = self.deferred.front().filter(is_past).copied() {
                self.deferred.pop_front();
                self.answer(request);
                continue;
            }
            match self.next(Lane::Control) {
                Some(Entry::ById(task, how, place, _)) => self.take_in_request(task, how, place),
                Some(Entry::RemoteDrop(task)) => self.lose(task),
                Some(Entry::Task(task)) => {
                    self.take_in_task(task);
                    if self.phase == Phase::Cancelling {
                        self.request(task, false, true);
                    }
                }
                None => return,
            }
        }
    }

    fn take_in_request(&mut self, task: usize, how: How, place: usize) {
        let round = self.round_for(task);
        let request = Entry::ById(task, how, place, round);
        match round {
            Some(_) => self.deferred.push_back(request),
            None => self.answer(request),
        }
    }

    fn answer(&mut self, request: Entry) {
        if let Entry::ById(task, how, place, _) = request {
            let answer = self.ask_by_id(task, how, false);
            self.answers[place] = Some(Some(answer));
        }
    }

    /// The round until which a request by id waits, if it has to.
    pub(crate) fn round_for(&self, task: usize) -> Option<u64> {
        match self.new_tasks() {
            _ if self.tasks[task].lives() => None,
            (_, true) => Some(self.rounds + 1),
            (true, false) => Some(self.rounds),
            (false, false) => None,
        }
    }

    fn is_past(&self, round: u64) -> bool {
        self.rounds > round || (self.rounds == round && !self.new_tasks().0)
    }

    /// A request by id is sent: the place of its answer.
    pub(crate) fn send_by_id(&mut self, task: usize, how: How) {
        self.answers.push(None);
        self.push(Entry::ById(task, how, self.answers.len() - 1, None));
    }

    /// The next answer in the order of the requests, once it is known.
    pub(crate) fn next_answer(&mut self) -> Option<Option<Answer>> {
        let answer = (*self.answers.get(self.answers_read)?)?;
        self.answers_read += 1;
        Some(answer)
    }
}
