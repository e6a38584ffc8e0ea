//! How late the system may wake the loop's thread.
//!
//! Linux collects timed wake-ups that lie close together: a thread's sleep may end up to its *timer
//! slack* late, 50 µs unless somebody changed it. A loop that promises deadlines to the nanosecond
//! asks for a slack of one; the price is that wake-ups of different threads share fewer interrupts.

/// Sets the calling thread's timer slack to 1 ns, where there is one. Best effort: without it timers
/// are as exact as ever, and later.
#[cfg(target_os = "linux")]
pub(crate) fn set_timer_slack() {
    use std::fs::{self, OpenOptions};
    use std::io::Write;
    use std::path::Path;

    // The link's last component is the thread's number; under that number, and not in the folder of
    // threads, is the file.
    let Ok(link) = fs::read_link("/proc/thread-self") else { return };
    let Some(tid) = link.file_name() else { return };
    let path = Path::new("/proc").join(tid).join("timerslack_ns");
    if let Ok(mut file) = OpenOptions::new().write(true).open(path) {
        let _ = file.write_all(b"1");
    }
}

/// There is no timer slack to be set on this system.
#[cfg(not(target_os = "linux"))]
pub(crate) fn set_timer_slack() {}
