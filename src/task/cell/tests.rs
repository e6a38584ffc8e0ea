//! The size of a cell.

use core::pin::Pin;
use core::task::Poll;

use super::*;

#[test]
fn a_task_with_64_bytes_of_state_takes_136() {
    struct Holds([u64; 8]);
    impl Future for Holds {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            if self.0[0] == 0 { Poll::Ready(()) } else { Poll::Pending }
        }
    }
    assert_eq!(size_of::<Header>(), 72);
    assert_eq!(size_of::<Cell<Holds, ()>>(), 136);
}
