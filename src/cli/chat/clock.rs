//! The time for DateTime headers (RFC 3862 §4.1).

use std::time::{SystemTime, UNIX_EPOCH};

/// The RFC 3339 form of a time in UTC: `2026-01-02T03:04:05Z`.
pub fn rfc3339(now: SystemTime) -> String {
    parlor_proto::datetime::rfc3339(now.duration_since(UNIX_EPOCH).unwrap_or_default())
}
