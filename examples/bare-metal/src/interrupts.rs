//! Interrupts that wake a task while the loop polls, turns and sleeps.

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Poll, Waker};

use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{Peripherals, SCB, SYST};
use critical_section::Mutex;
use sideloop::bare::Loop;

use crate::Check;

pub(crate) const ALL: [Check; 1] = [("no wake of an interrupt is lost", no_wake_is_lost)];

/// The number of wakes that the task waits for.
const WAKES: u32 = 400;

static ALARM: Mutex<RefCell<Option<Alarm>>> = Mutex::new(RefCell::new(None));
/// How often the loop's hook was called.
static CALLS: Mutex<Cell<u32>> = Mutex::new(Cell::new(0));

/// A timer that interrupts once, and the task that it wakes.
struct Alarm {
    timer: SYST,
    task: Option<Waker>,
    /// How many interrupts the task has not seen yet.
    unseen: u32,
}

impl Alarm {
    fn start(&mut self, cycles: u32) {
        self.timer.set_reload(cycles);
        self.timer.clear_current();
        self.timer.enable_interrupt();
        self.timer.enable_counter();
    }

    fn stop(&mut self) {
        self.timer.disable_counter();
        SCB::clear_pendst(); // it may have fired again
    }
}

fn with_alarm<R>(f: impl FnOnce(&mut Alarm) -> R) -> R {
    critical_section::with(|cs| f(ALARM.borrow_ref_mut(cs).as_mut().expect("it was set up")))
}

/// Wakes without a lock, and allocates nothing.
#[cortex_m_rt::exception]
fn SysTick() {
    with_alarm(|alarm| {
        alarm.stop();
        alarm.unseen += 1;
        alarm.task.as_ref().expect("the task asked for it").wake_by_ref();
    });
}

/// Each interrupt comes a little later than the one before, so that they hit the loop at many places.
/// A lost wake shows as a sleep without end.
fn no_wake_is_lost() {
    let mut timer = Peripherals::take().expect("nobody took them").SYST;
    timer.set_clock_source(SystClkSource::Core);
    let alarm = Alarm { timer, task: None, unseen: 0 };
    critical_section::with(|cs| ALARM.borrow(cs).replace(Some(alarm)));
    let calls = || critical_section::with(|cs| CALLS.borrow(cs).get());
    let mut bare = Loop::new(|| {
        critical_section::with(|cs| CALLS.borrow(cs).set(CALLS.borrow(cs).get() + 1));
    });
    let mut seen = 0;
    let task = bare.spawn_local(poll_fn(move |cx| {
        with_alarm(|alarm| {
            let news = core::mem::take(&mut alarm.unseen);
            let first = alarm.task.is_none();
            assert_eq!(news, u32::from(!first), "each poll is for one interrupt");
            alarm.task.get_or_insert_with(|| cx.waker().clone());
            seen += news;
            if seen == WAKES {
                return Poll::Ready(());
            }
            alarm.start(1 + seen * 7);
            Poll::Pending
        })
    }));
    let mut slept = 0;
    loop {
        let answered = calls();
        let turn = bare.turn(0);
        if task.is_finished() {
            break;
        }
        slept += u32::from(turn.idle && sleep_while(|| calls() == answered));
    }
    drop(critical_section::with(|cs| ALARM.borrow(cs).take()));
    assert!((1..WAKES).contains(&slept), "{slept} of {WAKES} found it asleep");
}

/// Sleeps while `asleep()`, and returns whether it ever slept. An interrupt that is held back also ends the sleep,
/// so none can come between the test and the sleep.
fn sleep_while(asleep: impl Fn() -> bool) -> bool {
    let look = || {
        let asleep = asleep();
        if asleep {
            cortex_m::asm::wfi();
        }
        asleep
    };
    let was = critical_section::with(|_| look());
    while critical_section::with(|_| look()) {}
    was
}
