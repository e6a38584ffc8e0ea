//! The loop on machines without an operating system, in 64 KiB of memory. It checks itself: `main` runs
//! each check, prints how many there were, and a panic ends the machine with exit code 1.
//!
//! ```text
//! cargo run --release --target thumbv7m-none-eabi --bin metal
//! ```
//!
//! The heap is behind a spin lock, so an interrupt that allocated could hang: that waking does not is
//! checked too.
#![no_std]
#![no_main]

extern crate alloc;

mod checks;
#[cfg(target_arch = "arm")]
mod interrupts;

use core::mem::MaybeUninit;

use linked_list_allocator::LockedHeap;
use semihosting::{print, println, process};
use static_cell::ConstStaticCell;

#[global_allocator]
static HEAP: LockedHeap = LockedHeap::empty();
static MEMORY: ConstStaticCell<[MaybeUninit<u8>; 40 * 1024]> =
    ConstStaticCell::new([MaybeUninit::uninit(); 40 * 1024]);

/// A name, and what panics if it is not so.
type Check = (&'static str, fn());

#[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
#[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
fn main() -> ! {
    HEAP.lock().init_from_slice(MEMORY.take());
    let mut ran = run(&checks::ALL);
    #[cfg(target_arch = "arm")]
    {
        ran += run(&interrupts::ALL);
    }
    println!("ran {ran} checks");
    process::exit(0)
}

/// Runs them one by one. Each must give back what it allocated.
fn run(checks: &[Check]) -> usize {
    for (name, check) in checks {
        print!("{name} ... ");
        let before = HEAP.lock().used();
        check();
        let after = HEAP.lock().used();
        assert_eq!(before, after, "{name} keeps memory");
        println!("ok");
    }
    checks.len()
}
