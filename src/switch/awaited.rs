//! Responses from recipients, in rooms whose copies ask for them (`failure_report`; RFC 4975 §7.1.1).

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::ids::SessionKey;
use crate::limits::AWAITED_RESPONSES_MAX;
use crate::room::MESSAGE_ID_LEN;

/// How long a recipient may take to answer (RFC 4975 §7.1.1).
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// The transactions whose responses are awaited, oldest first.
#[derive(Debug, Default)]
pub struct Awaited {
    by_tid: HashMap<u64, Wait>,
    order: VecDeque<(Instant, u64)>,
}

/// One transaction, shared by all recipients of a frame.
#[derive(Debug, Clone, Copy)]
pub struct Wait {
    /// Recipients that have not answered; 0 where they answer errors only.
    left: u32,
    /// The message that it is part of, if that is forwarded as it arrives: its sender and its Message-ID on the way out.
    pub stream: Option<(SessionKey, [u8; MESSAGE_ID_LEN])>,
}

impl Awaited {
    /// Waits for `left` responses to `tid`. Returns when to look for missing ones, if nothing was waited for before.
    pub fn add(
        &mut self,
        tid: u64,
        left: u32,
        stream: Option<(SessionKey, [u8; MESSAGE_ID_LEN])>,
        now: Instant,
    ) -> Option<Instant> {
        // Transactions that everybody has answered are forgotten before their time is up.
        while self.order.front().is_some_and(|(_, tid)| !self.by_tid.contains_key(tid)) {
            self.order.pop_front();
        }
        if self.order.len() >= AWAITED_RESPONSES_MAX {
            return None;
        }
        self.by_tid.insert(tid, Wait { left, stream });
        self.order.push_back((now + RESPONSE_TIMEOUT, tid));
        (self.order.len() == 1).then_some(now + RESPONSE_TIMEOUT)
    }

    /// A response to `tid` has come. `None`: it is not awaited.
    pub fn take(&mut self, tid: u64) -> Option<Wait> {
        let wait = self.by_tid.get_mut(&tid)?;
        let was = *wait;
        wait.left = was.left.saturating_sub(1);
        if was.left == 1 {
            self.by_tid.remove(&tid);
        }
        Some(was)
    }

    /// Forgets transactions that are too old. Returns how many responses are missing, and when to look again.
    pub fn expire(&mut self, now: Instant) -> (u64, Option<Instant>) {
        let mut missing = 0;
        while let Some((at, tid)) = self.order.front().copied() {
            if at > now {
                return (missing, Some(at));
            }
            self.order.pop_front();
            missing += self.by_tid.remove(&tid).map_or(0, |wait| u64::from(wait.left));
        }
        (missing, None)
    }
}

/// Reads a transaction id of our own form; `None` for any other.
#[must_use]
pub fn drawn(tid: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(tid).ok().filter(|text| text.len() == 16)?;
    u64::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use parlor_proto::msrp::encode::random_id;

    #[test]
    fn missing_responses_are_counted_when_their_time_is_up() {
        let (mut awaited, now) = (Awaited::default(), Instant::now());
        assert_eq!(awaited.add(1, 3, None, now), Some(now + RESPONSE_TIMEOUT));
        assert_eq!(awaited.add(2, 1, None, now + Duration::from_secs(1)), None, "a timer is set");
        assert!(awaited.take(1).is_some() && awaited.take(2).is_some() && awaited.take(3).is_none());
        assert_eq!(awaited.expire(now + RESPONSE_TIMEOUT), (2, Some(now + RESPONSE_TIMEOUT + Duration::from_secs(1))));
        assert_eq!(awaited.expire(now + 2 * RESPONSE_TIMEOUT), (0, None));
        assert!(awaited.take(1).is_none());
    }

    #[test]
    fn our_own_ids_are_recognised() {
        assert_eq!(drawn(&random_id(0xdead_beef)), Some(0xdead_beef));
        assert_eq!(drawn(b"abc"), None);
        assert_eq!(drawn(b"ghijghijghijghij"), None);
    }
}
