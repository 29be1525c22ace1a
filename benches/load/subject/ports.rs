//! Ports for servers that cannot be told to choose one themselves.

use std::io;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// A port that nobody listens on, another one at each call. It is below those that the kernel gives away by itself: the
/// bench's own connections would get one of them before the peer does.
///
/// # Errors
/// Returns an error if none of 1000 ports in a row is free.
pub fn free_port() -> io::Result<u16> {
    static CALLS: AtomicU16 = AtomicU16::new(0);
    let first = std::process::id().wrapping_mul(101) as u16;
    let nth = |_| 10_000 + first.wrapping_add(CALLS.fetch_add(1, Ordering::Relaxed)) % 20_000;
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (0..1000).map(nth).find(free).ok_or_else(|| io::ErrorKind::AddrInUse.into())
}
