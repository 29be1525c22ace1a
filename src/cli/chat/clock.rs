//! The date as CPIM writes it.

use std::time::{SystemTime, UNIX_EPOCH};

/// The moment as RFC 3339 text in UTC: `2026-01-02T03:04:05Z`.
pub(super) fn rfc3339(now: SystemTime) -> String {
    parlor_proto::datetime::rfc3339(now.duration_since(UNIX_EPOCH).unwrap_or_default())
}
