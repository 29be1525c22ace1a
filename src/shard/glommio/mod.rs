//! The back end on glommio: an executor of its own on a pinned thread.
//!
//! Its tasks only wait: one for each listener, one for each connection that is read, one for each dial and one for each full socket
//! hand what has arrived to the task that turns the shell. glommio is used as an event loop. With its preempt timer set to an hour
//! one state cannot arise in which its executor parks with runnable tasks for good. The price is a rule that every task here
//! keeps: **no task stays runnable**. Each turn is poll, run what is ready, flush, poll again. Nobody loops on a yield; who has
//! more to do awaits a timer of no length.

mod backend;
mod executor;

pub use executor::start;
