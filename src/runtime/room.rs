//! Lists that lie under a lock or a borrow, and whose memory is made and freed outside of it.
//!
//! A global allocator is user code: it may ask a handle whether it is current, and so come back to a list that
//! is about to grow. So a list in here never has its vector grow by itself.

use std::mem;

/// Adds a value to the list that `open` opens.
pub(super) fn put<T>(value: T, mut open: impl FnMut(&mut dyn FnMut(&mut Vec<T>))) {
    let (mut value, mut room) = (Some(value), Vec::new());
    while value.is_some() {
        let mut wanted = 0;
        open(&mut |list| {
            exchange(list, &mut room, list.len() + 1);
            if list.len() < list.capacity() {
                list.extend(value.take());
            } else {
                wanted = (list.len() * 2).max(4);
            }
        });
        if value.is_some() {
            room = Vec::with_capacity(wanted);
        }
    }
}

/// Gives memory back that the list does not need any more.
pub(super) fn thin<T>(mut open: impl FnMut(&mut dyn FnMut(&mut Vec<T>))) {
    let (mut wanted, mut room) = (None, Vec::new());
    open(&mut |list| {
        let much = list.capacity() > 4 && list.len() * 4 <= list.capacity();
        wanted = much.then_some(list.len() * 2);
    });
    if let Some(wanted) = wanted {
        room = Vec::with_capacity(wanted);
        open(&mut |list| {
            let len = list.len();
            exchange(list, &mut room, len);
        });
    }
    drop(room);
}

/// Has the values lie in the other vector, if that is empty and has room for so many.
fn exchange<T>(list: &mut Vec<T>, room: &mut Vec<T>, wanted: usize) {
    let fits = room.is_empty() && room.capacity() >= wanted;
    if fits && (list.capacity() < wanted || room.capacity() < list.capacity()) {
        room.append(list); // which has room for them
        mem::swap(list, room);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// M6
    #[test]
    fn a_list_follows_what_it_holds() {
        let list = RefCell::new(Vec::new());
        for n in 0..1_000 {
            put(n, |change| change(&mut list.borrow_mut()));
            assert!(list.borrow().capacity() <= (2 * n + 2).max(4), "after {n}");
        }
        assert!(list.borrow().iter().copied().eq(0..1_000));
        while list.borrow_mut().pop().is_some() {
            thin(|change| change(&mut list.borrow_mut()));
            assert!(list.borrow().capacity() <= (4 * list.borrow().len()).max(4));
        }
        assert_eq!(list.borrow().capacity(), 0);
    }
}
