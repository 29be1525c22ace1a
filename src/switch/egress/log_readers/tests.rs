//! What is kept of logs that are empty, each limit reached.

use std::cell::OnceCell;

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use slotmap::KeyData;

use super::super::room_log::{Content, Log, LogEntry};
use super::super::state::Egress;
use crate::ids::{ConnectionId, RoomKey};
use crate::limits::{SPARE_PAGE_BYTES_MAX, SPARE_PAGE_ENTRIES_MAX, SPARE_PAGES_MAX};

#[test]
fn so_many_empty_pages_are_kept_and_each_is_small() {
    let mut egress = Egress::new(1 << 18, ChaCha8Rng::seed_from_u64(1));
    let rooms: Vec<RoomKey> = (0..=SPARE_PAGES_MAX as u64).map(|n| KeyData::from_ffi(1 << 32 | n).into()).collect();
    let from: ConnectionId = KeyData::from_ffi(1 << 32 | 1).into();
    for room in &rooms {
        let mut log = Log::default();
        log.page.octets = vec![b'x'; 2 * SPARE_PAGE_BYTES_MAX];
        let content = || Content::Logged { start: 0, split: 0, end: 1, frame: OnceCell::new() };
        log.page.entries =
            (0..2 * SPARE_PAGE_ENTRIES_MAX).map(|_| LogEntry { from, len: 1, content: content() }).collect();
        egress.logs.insert(*room, log);
    }
    rooms.iter().for_each(|room| egress.empty_when_read(*room));
    assert_eq!(egress.spare_pages.len(), SPARE_PAGES_MAX);
    for page in &egress.spare_pages {
        assert!(page.octets.is_empty() && page.octets.capacity() <= SPARE_PAGE_BYTES_MAX);
        assert!(page.entries.is_empty() && page.entries.capacity() <= SPARE_PAGE_ENTRIES_MAX);
    }
    assert!(egress.logs.values().all(|log| log.page.entries.is_empty()));
}
