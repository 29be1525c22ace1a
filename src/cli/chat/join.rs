//! Joining a room and leaving it: the call, its answer, and the MSRP connection.

use std::future::Future;
use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand_chacha::ChaCha12Rng;
use rand_core::Rng;
use sha2::{Digest, Sha256};

use super::call::{Call, CallEvent};
use super::error::ChatError;
use super::network::{SipSocket, connect_msrp, unreachable};
use super::options::ChatOptions;
use super::parties::Parties;
use crate::cli::random;
use crate::nickname::NicknameKey;
use crate::tls::Stream;
use parlor_proto::msrp::Path;
use parlor_proto::sdp::{
    Capabilities, ChatroomTokens, Description, LocalMedia, LocalTerms, MessageMedia, Origin, Setup,
};
use parlor_proto::sip::Hop;

/// The longest time for the responses to a BYE or a CANCEL.
const HANG_UP_TIMEOUT: Duration = Duration::from_secs(1);

/// A call that has joined a room.
pub struct Joined {
    /// The socket of the call.
    pub socket: SipSocket,
    /// The call.
    pub call: Call,
    /// Its two ends.
    pub parties: Parties,
    /// The MSRP connection.
    pub stream: Stream,
    /// The client's MSRP path.
    pub local: Path,
    /// The room's MSRP path.
    pub remote: Path,
    /// The room's subject.
    pub subject: Option<String>,
    /// The source of random numbers.
    pub rng: ChaCha12Rng,
}

/// Calls the room, and connects to the MSRP address in its answer.
///
/// # Errors
/// Returns an error if the room cannot be reached or refuses the call, or if the user interrupts.
pub async fn join(options: &ChatOptions) -> Result<Joined, ChatError> {
    let mut rng = random::generator().map_err(|error| error.to_string())?;
    let (mut socket, hop) = SipSocket::open(&options.via, &options.tls).await?;
    let parties = parties(options, &hop, &mut rng);
    let mut call = Call::new(&parties, hop, &mut rng);
    let local = local_path(&hop, options.msrps, &mut rng);
    call.invite(offer(&hop, &local, &mut rng), Instant::now());
    let answered = unless_interrupted(establish(options, &mut socket, &mut call)).await;
    let (media, subject, stream) = match answered {
        Ok(answered) => answered,
        Err(error) => {
            leave(&mut socket, &mut call).await;
            return Err(error);
        }
    };
    Ok(Joined { socket, call, parties, stream, local, remote: media.path, subject, rng })
}

/// The outcome of `work`, or an error if the user interrupts it.
async fn unless_interrupted<T>(work: impl Future<Output = Result<T, ChatError>>) -> Result<T, ChatError> {
    tokio::select! {
        outcome = work => outcome,
        _ = tokio::signal::ctrl_c() => Err("interrupted before the room had answered".into()),
    }
}

fn parties(options: &ChatOptions, hop: &Hop, rng: &mut ChaCha12Rng) -> Parties {
    let caller = match &options.identity {
        _ if options.anonymous => format!("sip:anonymous-{:08x}@anonymous.invalid", rng.next_u32()),
        Some(identity) => identity.clone(),
        None => guest(hop, options.nick.as_deref(), rng),
    };
    Parties { caller, room: options.room.clone(), anonymous: options.anonymous, password: options.password.clone() }
}

/// The URI of a guest of this machine. It is the same for each nickname: a script that runs again within a minute would otherwise find
/// its nickname in quarantine for another user.
fn guest(hop: &Hop, nick: Option<&str>, rng: &mut ChaCha12Rng) -> String {
    let host = match hop.local {
        std::net::SocketAddr::V4(address) => address.ip().to_string(),
        std::net::SocketAddr::V6(address) => format!("[{}]", address.ip()),
    };
    let number = nick.map_or_else(|| rng.next_u32(), guest_number);
    format!("sip:guest-{number:08x}@{host}")
}

/// A number for a nickname of this user on this machine, from which neither can be found.
fn guest_number(nick: &str) -> u32 {
    // Nicknames that the room takes for the same have the same number.
    let key = NicknameKey::of(nick).map_or_else(|_| nick.to_owned(), |key| key.as_str().to_owned());
    let machine = std::fs::read("/etc/machine-id").or_else(|_| std::fs::read("/etc/hostname")).unwrap_or_default();
    let mut hash = Sha256::new_with_prefix("parlor chat guest\n");
    hash.update(rustix::process::getuid().as_raw().to_be_bytes());
    hash.update(machine);
    hash.update(key);
    u32::from_be_bytes(hash.finalize()[..4].try_into().expect("a digest has more than four octets"))
}

/// The path of the client, which connects and does not listen on the port (RFC 6135 §4.2).
fn local_path(hop: &Hop, secure: bool, rng: &mut ChaCha12Rng) -> Path {
    let host = std::net::SocketAddr::new(hop.local.ip(), 9);
    let scheme = if secure { "msrps" } else { "msrp" };
    let text = format!("{scheme}://{host}/{:016x}{:016x};tcp", rng.next_u64(), rng.next_u64());
    Path::parse(text.as_bytes()).expect("an address and hexadecimal digits make a path")
}

fn offer(hop: &Hop, path: &Path, rng: &mut ChaCha12Rng) -> String {
    let ours = LocalMedia {
        terms: LocalTerms {
            host: &hop.local.ip().to_string(),
            ipv6: false,
            accept_wrapped_types: &["*".to_owned()],
            chatroom: ChatroomTokens { nickname: true, private_messages: true },
            max_size: 0,
            subject: None,
        },
        port: 9,
        path,
        setup: Setup::Active,
        fingerprints: &[],
    };
    ours.offer(Origin { id: rng.next_u64() >> 2, version: 1 })
}

/// The media and the subject in the answer of the room.
fn read_answer(answer: &[u8]) -> Result<(MessageMedia, Option<String>), ChatError> {
    let can = Capabilities { plain: true, tls: true, listen: false, connect: true };
    let description =
        Description::parse(answer).map_err(|error| format!("the answer of the room is not valid SDP: {error}"))?;
    let media =
        description.answered_media(can).map_err(|error| format!("the answer of the room cannot be used: {error}"))?;
    Ok((media, description.subject().map(str::to_owned)))
}

/// Waits for the answer, and connects to its MSRP address.
async fn establish(
    options: &ChatOptions,
    socket: &mut SipSocket,
    call: &mut Call,
) -> Result<(MessageMedia, Option<String>, Stream), ChatError> {
    let answer = wait_for_answer(options, socket, call).await?;
    let (media, subject) = read_answer(&answer)?;
    let stream = connect_msrp(&media.path, &media.fingerprints, &options.tls).await?;
    Ok((media, subject, stream))
}

/// Waits for the answer.
async fn wait_for_answer(options: &ChatOptions, socket: &mut SipSocket, call: &mut Call) -> Result<Bytes, ChatError> {
    loop {
        let event = match next_event(socket, call, None).await {
            Ok(event) => event,
            Err(error) => {
                call.abandon();
                return Err(unreachable(&options.via, &error));
            }
        };
        match event {
            Some(CallEvent::Answered(answer)) => return Ok(answer),
            Some(CallEvent::Refused(status, reason)) => return Err(refused(status, &reason, options)),
            Some(CallEvent::TimedOut) => {
                return Err(format!("no answer from {}:{}; is it a SIP server?", options.via.host, options.via.port));
            }
            Some(CallEvent::Ended(_) | CallEvent::HungUp) => return Err("the room has ended the call at once".into()),
            None => {}
        }
    }
}

fn refused(status: u16, reason: &str, options: &ChatOptions) -> ChatError {
    let advice = match status {
        401 | 407 if options.password.is_some() => "; it does not take this user with this password",
        401 | 407 => "; it needs a password: give --user NAME, and --password-file or PARLOR_PASSWORD",
        403 => "; you may not join, or not twice",
        404 if reason.contains("sip.domains") => "; call the room at a host that the server names there",
        404 => "; there is no such room, and the server does not create it",
        488 if !options.msrps => "; it may require MSRP over TLS: give --msrps",
        480 | 486 | 503 => "; try again later",
        _ => "",
    };
    format!("the room refuses the call: {status} {reason}{advice}")
}

/// Sends the outgoing messages of the call, then waits for a message, a timer or `until`.
async fn next_event(socket: &mut SipSocket, call: &mut Call, until: Option<Instant>) -> io::Result<Option<CallEvent>> {
    send_outgoing(socket, call).await?;
    let timeout = call.poll_timeout(Instant::now()).into_iter().chain(until).min();
    tokio::select! {
        messages = socket.receive() => {
            let now = Instant::now();
            let event = messages?.into_iter().filter_map(|message| call.handle_message(message, now)).last();
            send_outgoing(socket, call).await?;
            Ok(event)
        }
        () = sleep_until(timeout) => {
            let event = call.handle_timeout(Instant::now());
            send_outgoing(socket, call).await?;
            Ok(event)
        }
    }
}

/// Sends the outgoing messages of the call.
///
/// # Errors
/// Returns an error if the socket fails.
pub async fn send_outgoing(socket: &mut SipSocket, call: &mut Call) -> io::Result<()> {
    while let Some(message) = call.poll_outgoing() {
        socket.send(&message).await?;
    }
    Ok(())
}

/// Ends the call. Errors are ignored.
pub async fn leave(socket: &mut SipSocket, call: &mut Call) {
    call.hang_up(Instant::now());
    // This includes the response to the last request, a BYE or a NOTIFY, if there is nothing to wait for.
    if send_outgoing(socket, call).await.is_err() {
        return;
    }
    let end = Instant::now() + HANG_UP_TIMEOUT;
    let mut hung_up = call.has_ended();
    while Instant::now() < end && !(hung_up && subscription_has_ended(call)) {
        match next_event(socket, call, Some(end)).await {
            Ok(event) => hung_up |= matches!(event, Some(CallEvent::HungUp)) || call.has_ended(),
            Err(_) => return,
        }
    }
}

/// Whether no NOTIFY is expected: the room ends the subscription with a last one, which is answered.
fn subscription_has_ended(call: &mut Call) -> bool {
    call.subscription().is_none_or(|subscription| subscription.has_ended())
}

/// Waits until a time, or for ever without one.
pub async fn sleep_until(timeout: Option<Instant>) {
    match timeout {
        Some(timeout) => tokio::time::sleep_until(timeout.into()).await,
        None => std::future::pending().await,
    }
}
