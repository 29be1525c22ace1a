//! A ring that does nothing but send, for shells that wait in something else.

use std::io;

use io_uring::{IoUring, squeue};

use super::abort::AbortOnUnwind;

/// A ring for `sends_max` sends at a time. `None` where the machine refuses one: plain sends do the same.
pub fn open_ring(sends_max: usize) -> Option<IoUring> {
    let entries = u32::try_from(sends_max).ok()?.next_power_of_two().clamp(1, 4096);
    let build = |builder: &mut io_uring::Builder| builder.build(entries);
    build(IoUring::builder().setup_submit_all().setup_single_issuer().setup_defer_taskrun())
        .or_else(|_| build(IoUring::builder().setup_submit_all()))
        .ok()
}

/// Submits sends and waits for all of them. Sends that do not wait are complete when the submission returns, so nothing outlives
/// this call. `results` gets how many octets the kernel took of each. Returns `false` if the kernel has refused all of them, and
/// they still stand in the ring's queue.
///
/// # Safety
/// What the entries point to, and their descriptors, must stay as they are until this returns.
pub unsafe fn submit_to_ring(
    ring: &mut IoUring,
    entries: impl Iterator<Item = squeue::Entry>,
    results: &mut Vec<io::Result<usize>>,
) -> bool {
    let guard = AbortOnUnwind;
    let mut is_full = false;
    for entry in entries {
        // SAFETY: what the entry points to, and its descriptor, are there, as the caller says, until the completions below are in;
        // where they do not come in, the process ends.
        is_full = is_full || unsafe { ring.submission().push(&entry.user_data(results.len() as u64)) }.is_err();
        results.push(Err(io::ErrorKind::WouldBlock.into()));
    }
    let expected = ring.submission().len();
    let mut done = 0;
    while done < expected {
        match ring.submit_and_wait(expected - done) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Nothing of the batch can be in flight: the kernel has refused the call itself.
            Err(_) if ring.submission().len() == expected => {
                results.clear();
                std::mem::forget(guard);
                return false;
            }
            Err(error) => panic!("the send ring failed in the middle of a batch: {error}"),
        }
        for completion in ring.completion() {
            let outcome = match completion.result() {
                n if n >= 0 => Ok(n as usize),
                error => Err(io::Error::from_raw_os_error(-error)),
            };
            if let Some(result) = results.get_mut(completion.user_data() as usize) {
                *result = outcome;
            }
            done += 1;
        }
    }
    std::mem::forget(guard);
    true
}
