//! Every maximum that a peer can reach. Names end with the unit and the qualifier; relations between limits are asserted below. Those
//! of the grammar are in `parlor_proto::limits`.

pub use parlor_proto::limits::*;

/// Octets of the MIME headers of a SEND beside Content-Type, such as Content-Disposition, which are forwarded.
pub const MSRP_CONTENT_HEADERS_BYTES_MAX: usize = 2048;
/// Octets in the body of a REPORT (RFC 4975 §7.1).
pub const REPORT_BODY_BYTES_MAX: usize = 10_240;
/// Octets in a nickname (RFC 7701 §7.1).
pub const NICKNAME_BYTES_MAX: usize = 1023;

/// NICKNAME requests of one session that wait for the decision of the focus on the one before.
pub const NICKNAME_REQUESTS_WAITING_MAX: usize = 8;
/// Octets that one connection receives at once.
pub const RECEIVE_BYTES_MAX: usize = 64 * 1024;
/// The smallest number of receive buffers of a ring shard, and so of connections that receive in one turn.
pub const RECEIVE_BUFFERS_MIN: u16 = 64;
/// The largest number of receive buffers of a ring shard. More connections receive in turns.
pub const RECEIVE_BUFFERS_MAX: u16 = 1024;
/// Pieces of memory in one send; further pieces follow in the next one.
pub const SEND_PIECES_MAX: usize = 1024;
/// Body slices that one frame gathers from the receive slab before it is sent on.
pub const FRAME_SLICES_MAX: usize = 64;
/// Octets of a message that is copied into its frame if it is complete in one turn, so that the receive slab is released.
pub const COPIED_BODY_BYTES_MAX: usize = 4 * 1024;
/// Octets of a chunk above which it may be interrupted, so its range-end is `*` (RFC 4975 §7.1.1).
pub const UNINTERRUPTIBLE_CHUNK_BYTES_MAX: usize = 2048;
/// Octets of the smallest chunk of a fragmented message, except its last one (RFC 4975 §7.1.1).
pub const FORWARDED_CHUNK_BYTES_MIN: usize = 2048;
/// Messages that one session may send at the same time.
pub const STREAMS_PER_SESSION_MAX: usize = 16;
/// Refused messages of one session whose later chunks are refused with the same status.
pub const REFUSED_MESSAGES_PER_SESSION_MAX: usize = 16;
/// Pieces of one message after a gap: each costs more than its octets.
pub const HELD_PIECES_PER_MESSAGE_MAX: usize = 64;
/// Octets of incomplete or out-of-order messages that are held for one session.
pub const HELD_BYTES_PER_SESSION_MAX: usize = 1024 * 1024;
/// Octets of incomplete or out-of-order messages that one shard holds.
pub const HELD_BYTES_PER_SHARD_MAX: usize = 256 * 1024 * 1024;
/// The smallest `outbox_max`, in octets.
pub const OUTBOX_BYTES_MIN: usize = 64 * 1024;
/// Octets of the roster that a client without chat room support gets as text.
pub const ROSTER_NOTICE_BYTES_MAX: usize = 4 * 1024;
/// Users of clients without chat room support whose notices a room remembers.
pub const UNAWARE_USERS_PER_ROOM_MAX: usize = 16 * 1024;
/// Octets of responses and REPORTs that wait on one connection. Above a quarter of it the connection is not read; above it the
/// connection is closed.
pub const CONTROL_LANE_BYTES_MAX: usize = 256 * 1024;
/// Empty buffers for responses and REPORTs that a shard keeps for reuse.
pub const SPARE_LANES_MAX: usize = 256;
/// Octets that each of these owns.
pub const SPARE_LANE_BYTES_MAX: usize = 256;
/// Slots for messages that an empty outbox keeps allocated.
pub const KEPT_COPIES_MAX: usize = 8;
/// Empty pages of room logs that a shard keeps for reuse.
pub const SPARE_PAGES_MAX: usize = 16;
/// Octets that each of these owns.
pub const SPARE_PAGE_BYTES_MAX: usize = 256 * 1024;
/// Slots for messages that each of these owns.
pub const SPARE_PAGE_ENTRIES_MAX: usize = 1024;
/// Slots for timers that are kept, however few are set.
pub const KEPT_TIMERS_MAX: usize = 64;
/// Transactions of forwarded messages whose responses a shard awaits, if `failure_report` is not "no".
pub const AWAITED_RESPONSES_MAX: usize = 64 * 1024;
/// Sessions on one connection (relays multiplex).
pub const SESSIONS_PER_CONNECTION_MAX: usize = 4096;
/// Connections to passive clients that one shard establishes at a time; others wait.
pub const DIALS_PER_SHARD_MAX: usize = 256;
/// Octets of one connection that are encrypted in one turn.
pub const TLS_TURN_BYTES_MAX: usize = 128 * 1024;
/// Octets of ciphertext that wait for one socket.
pub const TLS_WAITING_BYTES_MAX: usize = 2 * TLS_TURN_BYTES_MAX;
/// Octets of ciphertext of one connection that are copied to leave together with that of others: more of it is sent by itself.
pub const TLS_BATCHED_BYTES_MAX: usize = 16 * 1024;
/// Connections of one shard without a session; above it the oldest of the network with the most is closed.
pub const UNBOUND_CONNECTIONS_MAX: usize = 4096;
/// Connections of one shard.
pub const CONNECTIONS_PER_SHARD_MAX: usize = 1 << 20;

/// Commands that wait for one shard. Full is a 503 to the caller.
pub const COMMAND_QUEUE_MAX: usize = 4096;
/// Commands for one shard that wait while its queue is full; a shard that lets more wait has failed, and the server stops. It is
/// enough for the two commands that end each call, and for one for each room.
pub const COMMANDS_WAITING_MAX: usize = 2 * CALLS_MAX + ROOMS_MAX;
/// Events that wait for the control thread.
pub const EVENT_QUEUE_MAX: usize = 16 * 1024;

/// Rooms at a time that `max_rooms` may allow.
pub const ROOMS_MAX: usize = 10_000_000;
/// Octets in the name of a room.
pub const ROOM_NAME_BYTES_MAX: usize = 1024;
/// Entries of a dialog's route set; a call with more is refused.
pub const SIP_ROUTES_MAX: usize = 32;
/// Distinct lists of accepted media types in a room; members with further ones are checked one by one.
pub const SHARED_TYPE_LISTS_MAX: usize = 63;
/// SIP connections that peers have established. For one more, one of the network with the most is closed.
pub const SIP_CONNECTIONS_MAX: usize = 4096;
/// SIP connections that the server has established or is establishing, beside those of peers.
pub const SIP_OWN_CONNECTIONS_MAX: usize = 1024;
/// SIP connections to one host that the server has established or is establishing.
pub const SIP_OWN_CONNECTIONS_PER_HOST_MAX: usize = 256;
/// Messages that wait on one SIP connection; above it the connection is closed. A connection to a proxy carries many subscribers, and
/// a roster change sends a NOTIFY to each of them.
pub const SIP_WAITING_MESSAGES_MAX: usize = 4096;
/// Octets that wait on one SIP connection; above it the connection is closed.
pub const SIP_WAITING_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Octets that wait on all SIP connections; above it the connection with the most is closed.
pub const SIP_WAITING_BYTES_IN_ALL_MAX: usize = 256 * 1024 * 1024;
/// Names that are resolved at a time, for calls from the server.
pub const LOOKUPS_MAX: usize = 1024;
/// INVITEs of one call from the server, each changed as the refusal before asks for.
pub const INVITE_TRIES_MAX: u32 = 3;
/// Seconds that a callee may take to answer.
pub const RINGING_SECONDS_MAX: u64 = 60;
/// Seconds of the subscription to the result of a REFER: longer than any call setup (RFC 3515 §3.4).
pub const REPORT_SECONDS_MAX: u64 = 180;
/// Consecutive temporary refusals of NOTIFY after which a subscription ends.
pub const REFUSED_NOTIFIES_MAX: u8 = 3;
/// The longest Retry-After of a subscriber that is respected, in seconds.
pub const NOTIFY_RETRY_SECONDS_MAX: u64 = 600;
/// Unanswered calls from the server, shared as [`PARTS_KEPT_FOR_OTHERS`] says.
pub const OUTGOING_CALLS_MAX: usize = 1024;
/// SIP calls at a time, shared in the same way.
pub const CALLS_MAX: usize = 1 << 20;
/// Octets of a SIP request above which it is sent over a stream if the peer accepts one (RFC 3261 §18.1.1).
pub const DATAGRAM_REQUEST_BYTES_MAX: usize = 1300;
/// Of rooms, calls, subscriptions and unanswered calls from the server, one of so many parts is reserved for other sources than the
/// largest.
pub const PARTS_KEPT_FOR_OTHERS: usize = 8;
/// Subscriptions at a time, shared in the same way.
pub const SUBSCRIPTIONS_MAX: usize = 1 << 20;
/// Subscriptions to rooms in one dialog.
pub const SUBSCRIPTIONS_PER_DIALOG_MAX: usize = 16;
/// Subscriptions in one dialog above which a REFER adds no other one.
pub const REPORTS_PER_DIALOG_MAX: usize = 256;
/// Subscriptions of one user to one room.
pub const SUBSCRIPTIONS_PER_USER_MAX: usize = 32;
/// Seconds of the longest subscription, and of one without Expires (RFC 4575 §3.3).
pub const SUBSCRIPTION_SECONDS_MAX: u64 = 3600;
/// Seconds of the shortest subscription, except a fetch with 0 (RFC 6665 §4.2.1.1).
pub const SUBSCRIPTION_SECONDS_MIN: u64 = 60;
/// Octets in the unanswered NOTIFYs of one connection, above which further ones wait.
pub const NOTIFY_BYTES_UNDER_WAY_MAX: usize = 4 * 1024 * 1024;
/// NOTIFYs in one burst; bursts follow each other by a few milliseconds.
pub const NOTIFIES_PER_BURST_MAX: usize = 64;
/// Octets of the users in one conference document, so that a NOTIFY fits into a datagram; the others follow in further documents.
pub const CONFERENCE_DOCUMENT_BYTES_MAX: usize = 32 * 1024;
/// Documents that a room keeps for subscribers with the same version.
pub const CONFERENCE_DOCUMENTS_KEPT_MAX: usize = 16;
/// Anonymous members that have left a room and whose quarantined nicknames are kept for them.
pub const ALIASES_PER_ROOM_MAX: usize = 256;
/// Departed users that a room keeps for partial documents; a subscriber that has missed more gets a full document.
pub const DEPARTURES_PER_ROOM_MAX: usize = 4096;
/// Octets in all server transactions. One source gets half of them, and so do all sources together whose addresses may be forged. Above
/// it, new requests get a stateless 503. 10,000 calls per second over UDP, kept for 32 s, take 360 MB.
pub const SIP_TRANSACTION_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// Known addresses of one user, from which it has authenticated.
pub const KNOWN_PLACES_PER_USER_MAX: usize = 32;
/// Known addresses of all users.
pub const KNOWN_PLACES_MAX: usize = 64 * 1024;
/// Nonces whose counts are kept. Above it the oldest ones become stale.
pub const NONCES_MAX: usize = 64 * 1024;
/// Pairs of user and source whose failed authentications are counted.
pub const FAILURES_REMEMBERED_MAX: usize = 16 * 1024;
/// Failed authentications for one user from one source, above which the source is refused without a check. A client may fail five
/// times in one call.
pub const FAILURES_PER_USER_MAX: u32 = 20;
/// Octets of log lines that wait for standard error, beside those being written; further lines are dropped and counted.
pub const LOG_WAITING_BYTES_MAX: usize = 1024 * 1024;
/// Milliseconds that the server waits at its end for the log to be written.
pub const LOG_FLUSH_MILLIS_MAX: u64 = 1000;
/// Identities that a trusted peer may assert for one user (RFC 3325 §9.1 has two).
pub const ASSERTED_IDENTITIES_MAX: usize = 8;

const _: () = assert!(MSRP_CONTENT_HEADERS_BYTES_MAX < MSRP_HEAD_BYTES_MAX);
const _: () = assert!(MSRP_HEAD_BYTES_MAX <= RECEIVE_BYTES_MAX);
const _: () = assert!(COPIED_BODY_BYTES_MAX <= RECEIVE_BYTES_MAX);
const _: () = assert!(RECEIVE_BUFFERS_MIN.is_power_of_two() && RECEIVE_BUFFERS_MAX.is_power_of_two());
const _: () = assert!(RECEIVE_BUFFERS_MIN <= RECEIVE_BUFFERS_MAX);
const _: () =
    assert!(SESSIONS_PER_CONNECTION_MAX < u16::MAX as usize, "the messages on one connection are counted in 16 bits");
const _: () = assert!(CPIM_HEADERS_BYTES_MAX <= HELD_BYTES_PER_SESSION_MAX);
const _: () = assert!(HELD_BYTES_PER_SESSION_MAX <= HELD_BYTES_PER_SHARD_MAX);
const _: () = assert!(FRAME_SLICES_MAX >= 1);
const _: () = assert!(SEND_PIECES_MAX >= 1 && SEND_PIECES_MAX <= 1024, "UIO_MAXIOV");
const _: () = assert!(2 * CONFERENCE_DOCUMENT_BYTES_MAX <= SIP_MESSAGE_BYTES_MAX, "a NOTIFY has room for its headers");
const _: () = assert!(SIP_MESSAGE_BYTES_MAX <= SIP_WAITING_BYTES_MAX);
const _: () = assert!(SIP_WAITING_BYTES_MAX <= SIP_WAITING_BYTES_IN_ALL_MAX);
const _: () = assert!(SIP_OWN_CONNECTIONS_PER_HOST_MAX < SIP_OWN_CONNECTIONS_MAX);
const _: () = assert!(SUBSCRIPTION_SECONDS_MIN < 3600, "RFC 6665 §4.2.1.1");
