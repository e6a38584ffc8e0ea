//! The loop on machines without an operating system, in 64 KiB of memory. It checks itself: `main` runs
//! each check and prints their number; a panic ends the machine with exit code 1.
//!
//! ```text
//! cargo run --release --target thumbv7m-none-eabi --bin metal
//! ```
//!
//! The heap is behind a spin lock, so an interrupt that allocates could hang. So this also checks that a wake does
//! not allocate.
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

/// A name, and a check that panics if it fails.
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

/// Runs the checks one by one. Each must free what it allocates.
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
