//! Getting into a room and out of it: the call, its answer, and the connection that the answer names.

use std::future::Future;
use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand_chacha::ChaCha12Rng;
use rand_core::Rng;
use sha2::{Digest, Sha256};

use super::Plan;
use super::call::{Call, CallNews, Parties};
use super::network::{SipSocket, Trouble, connect_msrp, unreachable};
use crate::cli::random;
use crate::nickname::NicknameKey;
use crate::tls::Stream;
use parlor_proto::msrp::Path;
use parlor_proto::sdp::{
    Capabilities, ChatroomTokens, Description, LocalMedia, LocalTerms, MessageMedia, Origin, Setup,
};
use parlor_proto::sip::Hop;

/// How long a BYE is waited for, or what a CANCEL makes of an INVITE.
const BYE_WAIT: Duration = Duration::from_secs(1);

/// A participant that is in: its call, and what is needed to talk.
pub(super) struct Joined {
    pub(super) socket: SipSocket,
    pub(super) call: Call,
    pub(super) parties: Parties,
    pub(super) stream: Stream,
    /// Our path and the room's.
    pub(super) local: Path,
    pub(super) remote: Path,
    pub(super) subject: Option<String>,
    pub(super) rng: ChaCha12Rng,
}

/// Calls the room, and connects to where it says.
pub(super) async fn join(plan: &Plan) -> Result<Joined, Trouble> {
    let mut rng = random::generator().map_err(|error| error.to_string())?;
    let (mut socket, hop) = SipSocket::open(&plan.via, &plan.security).await?;
    let parties = parties(plan, &hop, &mut rng);
    let mut call = Call::new(&parties, hop, &mut rng);
    let local = our_path(&hop, plan.msrps, &mut rng);
    call.invite(offer(&hop, &local, &mut rng), Instant::now());
    let answered = unless_interrupted(talk_into(plan, &mut socket, &mut call)).await;
    let (media, subject, stream) = match answered {
        Ok(answered) => answered,
        Err(trouble) => {
            leave(&mut socket, &mut call).await;
            return Err(trouble);
        }
    };
    Ok(Joined { socket, call, parties, stream, local, remote: media.path, subject, rng })
}

/// What comes of it, unless whoever waits has had enough.
async fn unless_interrupted<T>(work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    tokio::select! {
        outcome = work => outcome,
        _ = tokio::signal::ctrl_c() => Err("given up before the room had answered".into()),
    }
}

fn parties(plan: &Plan, hop: &Hop, rng: &mut ChaCha12Rng) -> Parties {
    let caller = match &plan.identity {
        _ if plan.anonymous => format!("sip:anonymous-{:08x}@anonymous.invalid", rng.next_u32()),
        Some(identity) => identity.clone(),
        None => guest(hop, plan.nick.as_deref(), rng),
    };
    Parties { caller, room: plan.room.clone(), anonymous: plan.anonymous, password: plan.password.clone() }
}

/// A guest of this machine. With a nickname it is the same one from run to run: a script that runs again within a minute would
/// otherwise find its nickname in quarantine, as another's.
fn guest(hop: &Hop, nick: Option<&str>, rng: &mut ChaCha12Rng) -> String {
    let host = match hop.local {
        std::net::SocketAddr::V4(address) => address.ip().to_string(),
        std::net::SocketAddr::V6(address) => format!("[{}]", address.ip()),
    };
    let number = nick.map_or_else(|| rng.next_u32(), number_of);
    format!("sip:guest-{number:08x}@{host}")
}

/// A number for a nickname of this user on this machine, which tells nothing of either.
fn number_of(nick: &str) -> u32 {
    // Those that the room takes for the same nickname have the same number.
    let key = NicknameKey::of(nick).map_or_else(|_| nick.to_owned(), |key| key.as_str().to_owned());
    let machine = std::fs::read("/etc/machine-id").or_else(|_| std::fs::read("/etc/hostname")).unwrap_or_default();
    let mut hash = Sha256::new_with_prefix("parlor chat guest\n");
    hash.update(rustix::process::getuid().as_raw().to_be_bytes());
    hash.update(machine);
    hash.update(key);
    u32::from_be_bytes(hash.finalize()[..4].try_into().expect("a digest has more than four octets"))
}

/// The path of whoever connects: its port is never listened on (RFC 6135 §4.2).
fn our_path(hop: &Hop, secure: bool, rng: &mut ChaCha12Rng) -> Path {
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

/// The room's media and its subject from its answer.
fn read_answer(answer: &[u8]) -> Result<(MessageMedia, Option<String>), Trouble> {
    let can = Capabilities { plain: true, tls: true, listen: false, connect: true };
    let description =
        Description::parse(answer).map_err(|error| format!("the room's answer cannot be read: {error}"))?;
    let media = description.answered_media(can).map_err(|error| format!("the room's answer is of no use: {error}"))?;
    Ok((media, description.subject().map(str::to_owned)))
}

/// Waits for the answer, and connects to where it says.
async fn talk_into(
    plan: &Plan,
    socket: &mut SipSocket,
    call: &mut Call,
) -> Result<(MessageMedia, Option<String>, Stream), Trouble> {
    let answer = answer(plan, socket, call).await?;
    let (media, subject) = read_answer(&answer)?;
    let stream = connect_msrp(&media.path, &media.fingerprints, &plan.security).await?;
    Ok((media, subject, stream))
}

/// Waits until the call is answered.
async fn answer(plan: &Plan, socket: &mut SipSocket, call: &mut Call) -> Result<Bytes, Trouble> {
    loop {
        let news = match turn(socket, call, None).await {
            Ok(news) => news,
            Err(error) => {
                call.lose();
                return Err(unreachable(&plan.via, &error));
            }
        };
        match news {
            Some(CallNews::Answered(answer)) => return Ok(answer),
            Some(CallNews::Refused(status, reason)) => return Err(refused(status, &reason, plan)),
            Some(CallNews::Unanswered) => {
                return Err(format!("no answer from {}:{}; is it a SIP server?", plan.via.host, plan.via.port));
            }
            Some(CallNews::Ended(_) | CallNews::Over) => return Err("the room ended the call at once".into()),
            None => {}
        }
    }
}

fn refused(status: u16, reason: &str, plan: &Plan) -> Trouble {
    let advice = match status {
        401 | 407 if plan.password.is_some() => "; it does not take this user with this password",
        401 | 407 => "; it asks for a password: give --user NAME, and --password-file or PARLOR_PASSWORD",
        403 => "; you are not allowed in, or not twice",
        404 if reason.contains("sip.domains") => "; call the room at a host that the server names there",
        404 => "; there is no such room, and it makes none",
        488 if !plan.msrps => "; it may want messages over TLS, which --msrps offers",
        480 | 486 | 503 => "; try again later",
        _ => "",
    };
    format!("the room refuses the call: {status} {reason}{advice}")
}

/// Sends what the call wants sent, then waits for a message, a timer or `until`.
async fn turn(socket: &mut SipSocket, call: &mut Call, until: Option<Instant>) -> io::Result<Option<CallNews>> {
    send_waiting(socket, call).await?;
    let wake = call.poll_timeout(Instant::now()).into_iter().chain(until).min();
    tokio::select! {
        messages = socket.receive() => {
            let now = Instant::now();
            let news = messages?.into_iter().filter_map(|message| call.handle(message, now)).last();
            send_waiting(socket, call).await?;
            Ok(news)
        }
        () = sleep_until(wake) => {
            let news = call.handle_timeout(Instant::now());
            send_waiting(socket, call).await?;
            Ok(news)
        }
    }
}

pub(super) async fn send_waiting(socket: &mut SipSocket, call: &mut Call) -> io::Result<()> {
    while let Some(message) = call.poll_outgoing() {
        socket.send(&message).await?;
    }
    Ok(())
}

/// Says goodbye. Whether it is heard is not worth a complaint.
pub(super) async fn leave(socket: &mut SipSocket, call: &mut Call) {
    call.hang_up(Instant::now());
    // The answers to what came last, a BYE or a NOTIFY, go out though nothing more is waited for.
    if send_waiting(socket, call).await.is_err() {
        return;
    }
    let end = Instant::now() + BYE_WAIT;
    let mut hung_up = call.has_ended();
    while Instant::now() < end && !(hung_up && is_unwatched(call)) {
        match turn(socket, call, Some(end)).await {
            Ok(news) => hung_up |= matches!(news, Some(CallNews::Over)) || call.has_ended(),
            Err(_) => return,
        }
    }
}

/// Whether the room will not tell us of its roster any more: whoever has left is told so, and answers.
fn is_unwatched(call: &mut Call) -> bool {
    call.roster().is_none_or(|watch| watch.is_over())
}

pub(super) async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake.into()).await,
        None => std::future::pending().await,
    }
}
