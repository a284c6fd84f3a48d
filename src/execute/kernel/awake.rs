//! Threads that stay awake from one burst of work to the next.
//!
//! A layer is a few short bursts: padding, packing, tiles. Between two of them rayon's threads soon go to sleep, and on a
//! virtual machine it can take longer to wake one than a small layer takes. So while a layer is computed the other
//! threads look for work themselves, and give up only after a while without any.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

/// How long a thread looks for work in vain.
const PATIENCE: Duration = Duration::from_micros(100);

/// Tells the threads that nothing more will come, also when the work panics.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Does work on the current thread, with the pool's other threads awake.
pub(super) fn awake<T>(work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    let own = rayon::current_thread_index();
    rayon::in_place_scope(|scope| {
        for _ in 1..rayon::current_num_threads() {
            scope.spawn(|_| {
                // this thread has work of its own to go back to
                if rayon::current_thread_index() != own {
                    look_for_work(&done);
                }
            });
        }
        let _done = Done(&done);
        work()
    })
}

/// Patience is also what keeps this from blocking a thread that comes here while it waits for another's result.
fn look_for_work(done: &AtomicBool) {
    let mut since = Instant::now();
    while !done.load(Ordering::Acquire) && since.elapsed() < PATIENCE {
        match rayon::yield_now() {
            Some(rayon::Yield::Executed) => since = Instant::now(),
            _ => std::thread::yield_now(), // to another program, if there is one
        }
    }
}
