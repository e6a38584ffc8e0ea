//! Blocking a thread in a join until it is woken.
//!
//! Std's park token is shared with user code, which may take it or leave one; ours is not.
//!
//! Before it blocks, a thread looks for a while: who is found looking need not be woken, and leaves no
//! waker behind, so a loop that has just been roused answers without a system call. A thread that has
//! looked in vain gives it up, and tries it again now and then: the system may run it and the loop on one
//! core. Where there is but one, what is to give the answer cannot run meanwhile, and nobody looks.

use std::cell::Cell;
use std::num::NonZero;
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use super::spin::{SpinHistory, spin_until};
use super::thread_waker::ThreadWaker;

/// How long a thread looks before it blocks: as long as it takes to rouse a loop and, by another wake-up,
/// the thread.
const LOOK: Duration = Duration::from_micros(25);

/// How many pauses come before the first look, some half a microsecond: no answer is there sooner, and
/// every look takes the task's state away from the loop that is about to change it. With cores far apart
/// a round trip takes a quarter longer without them.
const PAUSES: u32 = 20;

std::thread_local! {
    /// One waker for all joins of a thread; taken while in use, because a join inside another's
    /// waiting (by a waker that blocks) must not take its wake.
    static SPARE: Cell<Option<Arc<ThreadWaker>>> = const { Cell::new(None) };

    /// Whether this thread should look.
    static TRUST: SpinHistory = const { SpinHistory::new() };
}

/// Whether something else can run while this thread looks.
fn has_company() -> bool {
    static CORES: OnceLock<usize> = OnceLock::new();
    let cores = || thread::available_parallelism().map_or(1, NonZero::get);
    *CORES.get_or_init(cores) > 1
}

/// Waits for an answer until the deadline comes: looks for it for a while, without a waker, then blocks.
pub(crate) fn wait<T>(
    deadline: Option<Instant>,
    mut poll: impl FnMut(Option<&Waker>) -> Poll<T>,
) -> Option<T> {
    let found = (has_company() && TRUST.with(SpinHistory::is_there)).then(|| {
        let begun = Instant::now();
        (0..PAUSES).for_each(|_| std::hint::spin_loop());
        let found = spin_until(begun, LOOK, deadline, || match poll(None) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        });
        // In vain tells nothing where the deadline cut it short.
        if found.is_some() || deadline.is_none_or(|at| at >= begun + LOOK) {
            TRUST.with(|trust| trust.looked(found.is_some()));
        }
        found
    });
    found.flatten().or_else(|| block(deadline, |waker| poll(Some(waker))))
}

/// Polls until there is an answer or the deadline comes, blocking this thread in between.
pub(crate) fn block<T>(
    deadline: Option<Instant>,
    mut poll: impl FnMut(&Waker) -> Poll<T>,
) -> Option<T> {
    let spare = SPARE.try_with(Cell::take).ok().flatten();
    let thread = spare.unwrap_or_default();
    // A late wake of an earlier join may still arrive: then this one polls once too often.
    let waker = Waker::from(thread.clone());
    let answer = loop {
        if let Poll::Ready(answer) = poll(&waker) {
            break Some(answer);
        }
        if !thread.wait(deadline) {
            break None;
        }
    };
    let _ = SPARE.try_with(|spare| spare.set(Some(thread)));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::env;
    use std::process::Command;

    /// Set in the child process that has one core.
    const ALONE: &str = "SIDELOOP_TEST_ALONE";

    /// Counted, not timed: how often a thread looks before it blocks.
    fn looks(deadline: Instant) -> u32 {
        let mut looks = 0;
        let answer = wait(Some(deadline), |waker| {
            looks += u32::from(waker.is_none());
            Poll::<()>::Pending
        });
        assert_eq!(answer, None, "the deadline had come");
        looks
    }

    #[test]
    fn a_thread_that_looks_in_vain_gives_it_up_unless_a_deadline_cut_it_short() {
        let looking =
            |times: usize, spin| (0..times).filter(|_| looks(Instant::now() + spin) > 0).count();
        if has_company() {
            assert_eq!(looking(10, Duration::ZERO), 10);
            assert_eq!(looking(5, Duration::from_millis(100)), 4);
            assert_eq!(looking(20, Duration::ZERO), 18, "from a trial on, which is not over");
        }
    }

    #[test]
    fn a_thread_looks_only_where_it_has_company() {
        let looks = looks(Instant::now());
        let alone = env::var_os(ALONE).is_some();
        assert!(!alone || !has_company(), "one core");
        assert_eq!(looks > 0, has_company(), "{looks} looks");
        if cfg!(target_os = "linux") && !alone {
            let mut child = Command::new("taskset");
            child.args(["-c", &core()]).arg(env::current_exe().expect("the test binary"));
            child.args([
                "--exact",
                "runtime::blocking_wait::tests::a_thread_looks_only_where_it_has_company",
            ]);
            let output = child.env(ALONE, "").output().expect("taskset runs");
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && text.contains("1 passed"), "{text}");
        }
    }

    /// A core that this process may use.
    fn core() -> String {
        let status = std::fs::read_to_string("/proc/self/status").expect("proc is mounted");
        let cores = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        let first = cores.expect("a line of cores").trim().split([',', '-']).next();
        first.expect("a core").to_owned()
    }

    #[test]
    fn a_thread_that_is_found_looking_leaves_no_waker() {
        if !has_company() {
            return;
        }
        let mut left = 3;
        let answer = wait(None, |waker| {
            assert!(waker.is_none(), "it has not blocked");
            left -= 1;
            if left == 0 { Poll::Ready(7) } else { Poll::Pending }
        });
        assert_eq!(answer, Some(7));
    }
}
