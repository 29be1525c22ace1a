//! What an operator sets about a switch, and what it counts.

use std::time::Duration;

/// What holds for every room of a shard.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How long a connection or a session may stay without the other.
    pub bind_timeout: Duration,
    /// Octets of messages that may wait on one connection.
    pub outbox_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { bind_timeout: Duration::from_secs(30), outbox_max: 256 * 1024 }
    }
}

/// What a shard has done since it began. All of them only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages accepted for forwarding.
    pub messages: u64,
    /// Copies put on outboxes.
    pub deliveries: u64,
    /// Copies not made because the recipient was congested.
    pub discarded: u64,
    /// Messages that recovered recipients had missed.
    pub missed: u64,
    /// Times a connection became congested.
    pub congested: u64,
    /// Requests answered with an error.
    pub refused: u64,
    /// Messages that ended before they were complete: their senders gave them up or left, their rest did not come in time, or
    /// they were refused on the way.
    pub aborted: u64,
    /// Octets handed to the kernel.
    pub sent_bytes: u64,
    /// Octets received.
    pub received_bytes: u64,
    /// Connections closed because responses piled up.
    pub overrun: u64,
    /// Connections closed because they carried something that is not MSRP.
    pub unreadable: u64,
    /// Error responses and failure reports from recipients.
    pub recipient_errors: u64,
    /// Responses from recipients that did not come in time.
    pub recipient_timeouts: u64,
    /// Responses to nothing that we wait for.
    pub stray_responses: u64,
}
