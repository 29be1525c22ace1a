//! Every maximum that a peer can run into. Units and qualifiers last; relations between limits are asserted below. Those of
//! the grammar stand in `parlor_proto::limits`.

pub use parlor_proto::limits::*;

/// Octets of what a SEND says about its body beside message/cpim (Content-Disposition and its like), which goes out with it.
pub const MSRP_CONTENT_HEADERS_BYTES_MAX: usize = 2048;
/// Octets in the body of a REPORT (RFC 4975 §7.1).
pub const REPORT_BODY_BYTES_MAX: usize = 10_240;
/// Octets in a nickname (RFC 7701 §7.1).
pub const NICKNAME_BYTES_MAX: usize = 1023;

/// NICKNAME requests of one session that wait while the focus decides about the one before.
pub const NICKNAME_REQUESTS_WAITING_MAX: usize = 8;
/// Octets that one turn of one connection reads.
pub const RECEIVE_BYTES_MAX: usize = 64 * 1024;
/// Buffers that a shard on its own ring receives into at least: as many connections may have something for it in one turn.
pub const RECEIVE_BUFFERS_MIN: u16 = 64;
/// Buffers that it receives into at most. When more connections than that have something for it, they take turns.
pub const RECEIVE_BUFFERS_MAX: u16 = 1024;
/// Pieces of memory that one send gathers; what more waits follows in the next one.
pub const SEND_PIECES_MAX: usize = 1024;
/// Body slices that one frame gathers from the receive slab before it is sent on.
pub const FRAME_SLICES_MAX: usize = 64;
/// A message this small that is complete within its turn is copied into its frame, which unpins the receive slab.
pub const COPIED_BODY_BYTES_MAX: usize = 4 * 1024;
/// Octets of a chunk above which its range-end is `*`, because it may be interrupted (RFC 4975 §7.1.1).
pub const UNINTERRUPTIBLE_CHUNK_BYTES_MAX: usize = 2048;
/// Octets of the smallest chunk that a message is broken into, its last one aside (RFC 4975 §7.1.1).
pub const FORWARDED_CHUNK_BYTES_MIN: usize = 2048;
/// Messages that one session may have in flight towards us.
pub const STREAMS_PER_SESSION_MAX: usize = 16;
/// Messages of one session that were refused before their last chunk, and whose other chunks are refused alike.
pub const REFUSED_MESSAGES_PER_SESSION_MAX: usize = 16;
/// Pieces of one message that wait behind a gap: each costs more than its octets.
pub const HELD_PIECES_PER_MESSAGE_MAX: usize = 64;
/// Octets of incomplete or out-of-order messages that one session may make us hold.
pub const HELD_BYTES_PER_SESSION_MAX: usize = 1024 * 1024;
/// Octets of incomplete or out-of-order messages that one shard holds.
pub const HELD_BYTES_PER_SHARD_MAX: usize = 256 * 1024 * 1024;
/// Octets that an operator must at least let wait for one connection.
pub const OUTBOX_BYTES_MIN: usize = 64 * 1024;
/// Octets after which the roster that a client without chat rooms is sent as text names nobody more.
pub const ROSTER_NOTICE_BYTES_MAX: usize = 4 * 1024;
/// Users of clients without chat rooms that a room remembers having told where they are.
pub const UNAWARE_USERS_PER_ROOM_MAX: usize = 16 * 1024;
/// Octets of responses and REPORTs that may wait on one connection; above a quarter of it the peer is not read until it has
/// caught up, and one that lets more pile up all the same loses the connection.
pub const CONTROL_LANE_BYTES_MAX: usize = 256 * 1024;
/// Empty lanes of responses and REPORTs that a shard keeps for whoever writes next.
pub const SPARE_LANES_MAX: usize = 256;
/// Octets that each of these owns.
pub const SPARE_LANE_BYTES_MAX: usize = 256;
/// Places for copies that an empty outbox keeps: idle connections own next to nothing.
pub const KEPT_COPIES_MAX: usize = 8;
/// Empty pages of logs that a shard keeps for the next turn.
pub const SPARE_PAGES_MAX: usize = 16;
/// Octets that each of these owns.
pub const SPARE_PAGE_BYTES_MAX: usize = 256 * 1024;
/// Places for messages that each of these owns.
pub const SPARE_PAGE_ENTRIES_MAX: usize = 1024;
/// Places for alarms that a shard keeps, however few are set.
pub const KEPT_ALARMS_MAX: usize = 64;
/// Transactions on copies whose responses a shard waits for, where a room's `failure_report` is not "no".
pub const AWAITED_RESPONSES_MAX: usize = 64 * 1024;
/// Sessions on one connection (relays multiplex).
pub const SESSIONS_PER_CONNECTION_MAX: usize = 4096;
/// Connections that one shard makes at a time for clients that only listen; others wait their turn.
pub const DIALS_PER_SHARD_MAX: usize = 256;
/// Octets of one connection that are encrypted in one turn.
pub const TLS_TURN_BYTES_MAX: usize = 128 * 1024;
/// Octets of ciphertext that may wait for one socket.
pub const TLS_WAITING_BYTES_MAX: usize = 2 * TLS_TURN_BYTES_MAX;
/// Octets of ciphertext of one connection that are copied to leave together with that of others: more of it is sent by itself.
pub const TLS_BATCHED_BYTES_MAX: usize = 16 * 1024;
/// Connections of one shard to which no session is bound yet; above it the oldest of the network that has the most goes.
pub const UNBOUND_CONNECTIONS_MAX: usize = 4096;
/// Connections of one shard.
pub const CONNECTIONS_PER_SHARD_MAX: usize = 1 << 20;

/// Commands that wait for one shard. Full is a 503 to the caller.
pub const COMMAND_QUEUE_MAX: usize = 4096;
/// Events that wait for the control thread.
pub const EVENT_QUEUE_MAX: usize = 16 * 1024;

/// Octets in the name of a room.
pub const ROOM_NAME_BYTES_MAX: usize = 1024;
/// Hops of a dialog's route set; a call with more is refused.
pub const SIP_ROUTES_MAX: usize = 32;
/// Different lists of accepted types that the members of a room share. Each further seat with another one is asked by itself.
pub const SHARED_TYPE_LISTS_MAX: usize = 63;
/// SIP connections that peers have made. For one more, one of the peer that has the most is closed.
pub const SIP_CONNECTIONS_MAX: usize = 4096;
/// SIP connections that we have made, or are making. They take nothing from the others.
pub const SIP_OWN_CONNECTIONS_MAX: usize = 1024;
/// SIP connections to one host that we have made, or are making.
pub const SIP_OWN_CONNECTIONS_PER_HOST_MAX: usize = 256;
/// Messages that may wait to be sent on one SIP connection; one that lets more pile up is closed. A proxy's connection carries
/// many subscribers, and a change of a roster is a NOTIFY for each of them at once.
pub const SIP_WAITING_MESSAGES_MAX: usize = 4096;
/// Octets that may wait to be sent on one SIP connection.
pub const SIP_WAITING_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Octets that may wait to be sent on all SIP connections; above it the one where most waits is closed.
pub const SIP_WAITING_BYTES_IN_ALL_MAX: usize = 256 * 1024 * 1024;
/// Names that are looked up at a time, for calls of ours.
pub const LOOKUPS_MAX: usize = 1024;
/// Times that the INVITE of a call of ours goes out, changed each time as a refusal asks for.
pub const INVITE_TRIES_MAX: u32 = 3;
/// Seconds that whoever we call may take to answer.
pub const RINGING_SECONDS_MAX: u64 = 60;
/// Seconds that a report may be awaited: longer than anything that is reported on takes (RFC 3515 §3.4).
pub const REPORT_SECONDS_MAX: u64 = 180;
/// NOTIFYs in a row that a subscriber may refuse for reasons that need not be the end, before it is given up.
pub const REFUSED_NOTIFIES_MAX: u8 = 3;
/// Seconds for which the Retry-After of a subscriber is heeded.
pub const NOTIFY_RETRY_SECONDS_MAX: u64 = 600;
/// Calls of ours that nobody has answered yet, shared out as [`PARTS_KEPT_FOR_OTHERS`] says.
pub const OUTGOING_CALLS_MAX: usize = 1024;
/// SIP calls at a time, shared out alike.
pub const CALLS_MAX: usize = 1 << 20;
/// Octets of a SIP request above which it goes over a stream where the peer takes one (RFC 3261 §18.1.1).
pub const DATAGRAM_REQUEST_BYTES_MAX: usize = 1300;
/// Of rooms, calls, subscriptions and calls of ours at a time, one part of so many is kept for others than the one who would take all.
pub const PARTS_KEPT_FOR_OTHERS: usize = 8;
/// Subscriptions at a time, shared out alike.
pub const SUBSCRIPTIONS_MAX: usize = 1 << 20;
/// Subscriptions to rooms in one dialog.
pub const SUBSCRIPTIONS_PER_DIALOG_MAX: usize = 16;
/// Subscriptions in one dialog above which no REFER opens another one.
pub const REPORTS_PER_DIALOG_MAX: usize = 256;
/// Subscriptions of one user to one room.
pub const SUBSCRIPTIONS_PER_USER_MAX: usize = 32;
/// Seconds of the longest subscription, and of one that asks for no time (RFC 4575 §3.3).
pub const SUBSCRIPTION_SECONDS_MAX: u64 = 3600;
/// Seconds of the shortest subscription; 0, a fetch, aside (RFC 6665 §4.2.1.1).
pub const SUBSCRIPTION_SECONDS_MIN: u64 = 60;
/// Octets of documents in the NOTIFYs that one connection has not answered yet, above which more wait for its answers.
pub const NOTIFY_BYTES_UNDER_WAY_MAX: usize = 4 * 1024 * 1024;
/// NOTIFYs about changes that are sent at a time, every few milliseconds.
pub const NOTIFIES_PER_BURST_MAX: usize = 64;
/// Octets of the users in one conference document; what is more follows in others, so that each goes into a datagram.
pub const CONFERENCE_DOCUMENT_BYTES_MAX: usize = 32 * 1024;
/// Documents that a room keeps for subscribers who have seen the same.
pub const CONFERENCE_DOCUMENTS_KEPT_MAX: usize = 16;
/// Anonymous members who have left a room and whose nicknames are kept for whoever they are.
pub const ALIASES_PER_ROOM_MAX: usize = 256;
/// Users who have left a room and whom subscribers may still be told of; who has missed more gets the whole roster.
pub const DEPARTURES_PER_ROOM_MAX: usize = 4096;
/// Octets that all server transactions hold; a source alone gets half of them, and all whose addresses may be forged together get half
/// of them. Above that new requests are answered 503 without state. Ten thousand calls a second over UDP, which have to be remembered
/// for 32 s, are 360 MB.
pub const SIP_TRANSACTION_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// Places that one user has logged in from which are remembered.
pub const KNOWN_PLACES_PER_USER_MAX: usize = 32;
/// Places that users have logged in from which are remembered.
pub const KNOWN_PLACES_MAX: usize = 64 * 1024;
/// Nonces whose counts are remembered. When there are more, the oldest ones are answered with a fresh challenge.
pub const NONCES_MAX: usize = 64 * 1024;
/// Pairs of a user and a source whose wrong passwords are counted.
pub const FAILURES_REMEMBERED_MAX: usize = 16 * 1024;
/// Wrong passwords for one user that a source may send before it is refused unheard. A client may try five times in one call.
pub const FAILURES_PER_USER_MAX: u32 = 20;
/// Octets of log lines that wait for standard error, beside those that are being written; what is more is dropped and counted.
pub const LOG_WAITING_BYTES_MAX: usize = 1024 * 1024;
/// Milliseconds that the end of the server waits for a reader of its log.
pub const LOG_FLUSH_MILLIS_MAX: u64 = 1000;
/// Identities that a trusted peer may assert of one user (RFC 3325 §9.1 has two).
pub const ASSERTED_IDENTITIES_MAX: usize = 8;

const _: () = assert!(MSRP_CONTENT_HEADERS_BYTES_MAX < MSRP_HEAD_BYTES_MAX);
const _: () = assert!(MSRP_HEAD_BYTES_MAX <= RECEIVE_BYTES_MAX);
const _: () = assert!(COPIED_BODY_BYTES_MAX <= RECEIVE_BYTES_MAX);
const _: () = assert!(RECEIVE_BUFFERS_MIN.is_power_of_two() && RECEIVE_BUFFERS_MAX.is_power_of_two());
const _: () = assert!(RECEIVE_BUFFERS_MIN <= RECEIVE_BUFFERS_MAX);
const _: () =
    assert!(SESSIONS_PER_CONNECTION_MAX < u16::MAX as usize, "the copies on one connection are counted in 16 bits");
const _: () = assert!(CPIM_HEADERS_BYTES_MAX <= HELD_BYTES_PER_SESSION_MAX);
const _: () = assert!(HELD_BYTES_PER_SESSION_MAX <= HELD_BYTES_PER_SHARD_MAX);
const _: () = assert!(FRAME_SLICES_MAX >= 1);
const _: () = assert!(SEND_PIECES_MAX >= 1 && SEND_PIECES_MAX <= 1024, "UIO_MAXIOV: what a sendmsg takes at most");
const _: () = assert!(2 * CONFERENCE_DOCUMENT_BYTES_MAX <= SIP_MESSAGE_BYTES_MAX, "a NOTIFY has room for its headers");
const _: () = assert!(SIP_MESSAGE_BYTES_MAX <= SIP_WAITING_BYTES_MAX);
const _: () = assert!(SIP_WAITING_BYTES_MAX <= SIP_WAITING_BYTES_IN_ALL_MAX);
const _: () = assert!(SIP_OWN_CONNECTIONS_PER_HOST_MAX < SIP_OWN_CONNECTIONS_MAX);
const _: () = assert!(SUBSCRIPTION_SECONDS_MIN < 3600, "RFC 6665 §4.2.1.1");
