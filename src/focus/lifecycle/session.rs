//! The sessions of calls on their shards: how they open and change.

use std::time::Duration;

use crate::facts::{Command, OpenSession, Outward, Terms};
use crate::focus::context::Context;
use crate::focus::media::offer::Offer;
use crate::focus::media::{description, negotiation};
use crate::focus::roster::membership;
use crate::focus::store::session_state::SessionState;
use crate::focus::tag::Tag;
use crate::focus::timer::Timer;
use parlor_proto::sdp::MessageMedia;

/// How long a shard may take to say whether a session can be bound.
pub const SHARD_ANSWER_MAX: Duration = Duration::from_secs(5);

/// Asks the call's shard to take its session.
pub fn open(cx: &mut Context<'_>, tag: Tag, terms: Terms) {
    let Some(call) = cx.calls.get_mut(tag) else { return };
    call.session_state.advance(|state| (state.with(terms.clone()), ()));
    let (session, room, member, shard) = (call.session, call.room, call.member.clone(), call.shard);
    let formerly = call.formerly.take().map(|before| *before);
    if let Some(before) = &formerly {
        cx.nicknames.inherit(before, &member.user);
    }
    cx.core.command(shard, Command::OpenSession(Box::new(OpenSession { session, room, member, terms, formerly })));
    cx.core.timers.set(Timer::ShardAnswer(tag), cx.now + SHARD_ANSWER_MAX);
}

/// The peer has our answer: tells the shard, once, that the peer may connect to a session that is ready.
pub fn expect_binding(cx: &mut Context<'_>, tag: Tag) {
    let Some(call) = cx.calls.get_mut(tag) else { return };
    if call.session_state.advance(SessionState::expected) {
        let (session, shard) = (call.session, call.shard);
        cx.core.command(shard, Command::ExpectBinding { session });
    }
}

/// Takes an offer, and gives the answer to it.
pub fn apply_offer(cx: &mut Context<'_>, tag: Tag, offer: &Offer) -> Option<String> {
    change_terms(cx, tag, &offer.media, offer.connect_to.clone());
    description::describe_answer(cx, tag, offer)
}

/// Puts what a description says in force: on a session that is to be opened yet, or on the one there is.
pub fn change_terms(cx: &mut Context<'_>, tag: Tag, media: &MessageMedia, connect_to: Option<Outward>) {
    let Some(call) = cx.calls.get_mut(tag) else { return };
    // With TLS we are to be found at another port than without.
    let (shard, session) = (call.shard, call.session);
    let Ok(path) = negotiation::path(cx, shard, session, media.secure) else { return };
    let Some(call) = cx.calls.get_mut(tag) else { return };
    (call.path, call.local_description.cema) = (path, media.accepts_cema());
    let terms: Terms = call.terms_for(media, connect_to);
    match call.session_state.terms() {
        None => open(cx, tag, terms),
        Some(before) if *before == terms => {}
        Some(_) => {
            call.session_state.advance(|state| (state.with(terms.clone()), ()));
            cx.core.change_session(shard, session, terms);
            membership::set_media(cx, tag);
        }
    }
}
