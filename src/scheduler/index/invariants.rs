//! What holds of a table at all times, for its tests.

use super::{Index, KEPT};
use crate::id::NO_KEY;

impl Index {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Panics where the table is not as its head says.
    pub(crate) fn check_invariants(&self) {
        let (room, occupied) = (self.slots.len(), self.slots.iter().filter(|key| **key != NO_KEY));
        assert_eq!(occupied.count(), self.len, "what the table holds");
        assert!(room == 0 || room.is_power_of_two(), "{room} slots");
        assert!(self.len * 2 <= room, "{} of {room} slots are taken", self.len);
        assert!(self.len > 0 || room <= KEPT, "an empty table of {room} slots");
    }
}
