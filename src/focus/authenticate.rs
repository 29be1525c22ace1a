//! Who is asked for a password, and who is believed without one (RFC 3261 §22.2, RFC 3325 §8).
//!
//! With `[sip.auth]`, everything is challenged but ACK and CANCEL, which must not be (RFC 3261 §22.1), and an OPTIONS to the server
//! itself, by which proxies see that it is alive; one to a room is, since it is answered as an INVITE would be (§11.2). A request
//! without credentials is answered without keeping anything of it (§26.3.2.4). What a trusted peer asserts stands in place of a
//! password.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use super::Focus;
use super::calls::Tag;
use super::merged::InviteOrigin;
use super::refusal::Refusal;
use crate::call::{Asker, Caller, Identity, IdentityError, Privacy, Unbelieved, asserted, identify};
use crate::shares::network;
use crate::shares::{Claim, Holder, Reach};
use parlor_proto::sip::{HeaderName, Hop, Method, Request, aor, tag, uri};
use parlor_proto::uri::Aor;

impl Focus {
    /// Whether a request is to be challenged before anything is made of it.
    pub(super) fn is_unasked(&self, request: &Request, hop: Hop) -> bool {
        let Some(authenticator) = &self.authenticator else { return false };
        self.needs_password(request, hop) && !authenticator.is_answered(request)
    }

    /// The refusal that asks for credentials.
    pub(super) fn challenge(&mut self, stale: bool, hop: Hop, now: Instant) -> Refusal {
        let source = self.asked_at(hop);
        let values = self.authenticator.as_mut().map(|all| all.challenge(stale, source, now)).unwrap_or_default();
        values.into_iter().fold(Refusal::new(401), |refusal, value| refusal.with(HeaderName::WwwAuthenticate, value))
    }

    /// Whether a request ends a call of ours, and nothing more is to be asked.
    pub(super) fn hangs_up(&self, request: &Request, hop: Hop) -> bool {
        request.method == Method::Bye
            && (self.calls.owner(request).is_some() || self.byes.owner(request).is_some())
            && !self.needs_password(request, hop)
    }

    /// Finds out whom a request is from.
    pub(super) fn authenticate(&mut self, request: &Request, hop: Hop, now: Instant) -> Result<Caller, Refusal> {
        let is_trusted = self.is_trusted(hop);
        let asserted = if is_trusted { asserted(request) } else { Vec::new() };
        if !asserted.is_empty() {
            return Ok(Caller::Asserted(asserted));
        }
        if !self.needs_password(request, hop) {
            return Ok(if is_trusted { Caller::Vouched } else { Caller::Claimed });
        }
        // An INVITE that came by two ways has the same credentials twice: it is merged, not replayed (RFC 3261 §8.2.2.2).
        let is_new = tag(&request.headers, &HeaderName::To).is_none();
        if is_new && InviteOrigin::of(request, self.tag_keys).is_some_and(|origin| self.merged.has(origin, now)) {
            return Err(Refusal::new(482).because("Merged Request"));
        }
        self.verify(request, hop, now)
    }

    fn verify(&mut self, request: &Request, hop: Hop, now: Instant) -> Result<Caller, Refusal> {
        let source = self.asked_at(hop);
        let Some(authenticator) = &mut self.authenticator else { return Ok(Caller::Claimed) };
        let place = (!source.is_unspecified()).then_some(hop.remote);
        match authenticator.verify(request, Asker { source, place }, now) {
            Ok(name) => {
                self.check_digest_uri(request)?;
                Ok(Caller::Authenticated(name))
            }
            Err(Unbelieved::Unasked) => Err(self.challenge(false, hop, now)),
            Err(Unbelieved::Stale) => Err(self.challenge(true, hop, now)),
            Err(Unbelieved::Malformed) => Err(Refusal::new(400).because("Bad Authorization")),
            Err(Unbelieved::Wrong) => {
                tracing::info!(source = %hop.remote.ip(), user = self.named_in(request), "a wrong password");
                Err(self.challenge(false, hop, now))
            }
            Err(Unbelieved::Barred) => {
                if let Some(times) = self.authenticator.as_mut().and_then(|all| all.tell_barred(now)) {
                    let user = self.named_in(request);
                    tracing::warn!(source = %hop.remote.ip(), user, times, "too many wrong passwords");
                }
                Err(Refusal::new(403).because("Too Many Wrong Passwords"))
            }
        }
    }

    /// Who asks for a share of what all share, before anything else is known of it than where it comes from. That its address is not
    /// forged is known by a stream, by what only its receiver has (a nonce, our tag of a dialog), and by what it holds already.
    pub(super) fn claim_of_source(&self, request: &Request, hop: Hop) -> Claim {
        let source = hop.remote.ip();
        let holder = Holder::of(source);
        let heard = || {
            let asked = self.authenticator.as_ref().is_some_and(|all| all.was_asked_at(request, source));
            asked
                || self.is_in_dialog_from(request, source)
                || self.transactions.proves(&holder)
                || self.calls.shares.proves(&holder)
        };
        let reach = match () {
            () if self.is_trusted(hop) => Reach::Trusted,
            () if hop.transport.is_reliable() || heard() => Reach::Proved,
            () => Reach::Unproved,
        };
        Claim { holder, reach }
    }

    /// Who asks for a share: whoever gave a password, wherever it is, and else the source.
    pub(super) fn claim_of(&self, request: &Request, caller: &Caller, hop: Hop) -> Claim {
        match caller {
            Caller::Authenticated(name) => Claim { holder: Holder::User(name.as_str().into()), reach: Reach::Proved },
            _ => self.claim_of_source(request, hop),
        }
    }

    /// Who asks for a share by a request within a dialog: whoever has the dialog.
    pub(super) fn claim_in(&self, tag: Tag, request: &Request, hop: Hop) -> Claim {
        let known = self.calls.claim(tag).or_else(|| self.subscriptions.claim(tag)).cloned();
        known.unwrap_or_else(|| self.claim_of_source(request, hop))
    }

    /// Whether a request belongs to a dialog whose peer is in the network that it comes from.
    fn is_in_dialog_from(&self, request: &Request, source: IpAddr) -> bool {
        let of_call = self.calls.owner(request).and_then(|tag| self.calls.get(tag)).map(|call| call.dialog.hop());
        let peer = of_call.or_else(|| self.subscriptions.hop(self.subscriptions.owner(request)?));
        peer.is_some_and(|peer| network(peer.remote.ip()) == network(source))
    }

    /// Whether a request belongs to a dialog of ours.
    pub(super) fn is_in_dialog(&self, request: &Request) -> bool {
        self.calls.owner(request).or_else(|| self.subscriptions.owner(request)).is_some()
    }

    /// Where a password is asked for. Trusted proxies are one place: a request and what answers its challenge may come by different
    /// ones.
    fn asked_at(&self, hop: Hop) -> IpAddr {
        if self.is_trusted(hop) { Ipv4Addr::UNSPECIFIED.into() } else { hop.remote.ip() }
    }

    /// The user that credentials name, for the log.
    fn named_in(&self, request: &Request) -> Option<String> {
        self.authenticator.as_ref().and_then(|all| all.user_named(request))
    }

    fn needs_password(&self, request: &Request, hop: Hop) -> bool {
        let asked = match request.method {
            Method::Ack | Method::Cancel => false,
            Method::Options => aor(&request.uri).is_ok_and(|target| target.user().is_some()),
            _ => true,
        };
        asked
            && self.authenticator.is_some()
            && !self.has_word_for(request, hop)
            && !self.have_called(request)
            && !self.crosses_our_bye(request)
    }

    /// Whether it is from somebody whom we have called. They need not have a password here, and know of the call only because
    /// they were called.
    fn have_called(&self, request: &Request) -> bool {
        self.calls.owner(request).and_then(|tag| self.calls.get(tag)).is_some_and(|call| call.timing.caller)
    }

    /// Whether it is a BYE that crosses ours: it changes nothing, and who sends it knows the dialog.
    fn crosses_our_bye(&self, request: &Request) -> bool {
        request.method == Method::Bye && self.byes.owner(request).is_some()
    }

    /// Whether a trusted peer says whom a request is from, or passes it on in a dialog that began so.
    fn has_word_for(&self, request: &Request, hop: Hop) -> bool {
        self.is_trusted(hop)
            && (!asserted(request).is_empty()
                || self.calls.owner(request).is_some_and(|tag| self.calls.is_vouched(tag))
                || self.subscriptions.owner(request).is_some_and(|tag| self.subscriptions.is_vouched(tag)))
    }

    fn is_trusted(&self, hop: Hop) -> bool {
        let source = hop.remote.ip();
        self.settings.trusted_peers.iter().any(|network| network.contains(source))
    }

    /// A digest that was made for somebody else's URI is not for us. It need not be the Request-URI, which proxies change, but
    /// has to name the same user at a host of ours (RFC 8760 §2.6, point 6; RFC 7616 §3.4.6).
    fn check_digest_uri(&self, request: &Request) -> Result<(), Refusal> {
        let made_for = self.authenticator.as_ref().and_then(|all| all.digest_uri(request)).unwrap_or_default();
        if made_for.as_bytes() == &request.uri.to_bytes()[..] {
            return Ok(());
        }
        let named = uri(&made_for).and_then(|uri| aor(&uri).ok()).filter(|named| self.hosts.own(named));
        let asked = aor(&request.uri).ok();
        let same = |named: &Aor| asked.as_ref().is_some_and(|asked| asked.user() == named.user());
        if named.as_ref().is_some_and(same) { Ok(()) } else { Err(Refusal::new(400).because("Digest For Another URI")) }
    }

    /// Whom a request to a room is from, and as whom it would join.
    pub(super) fn identity(&mut self, request: &Request, caller: &Caller, room: &str) -> Result<Identity, Refusal> {
        let unmet = Privacy::of(&request.headers).unmet;
        if !unmet.is_empty() {
            // RFC 3323 §5: the phrase names what is not there.
            let named: String =
                unmet.join(", ").chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(100).collect();
            return Err(Refusal::new(500).because(format!("Privacy Failure: {named}")));
        }
        let unique = self.random();
        let room = self.rooms.find(room);
        let is_free = |address: &Aor| room.is_none_or(|room| !room.has(address));
        identify(request, caller, &self.settings.domains, unique, is_free).map_err(|error| match error {
            IdentityError::NotYours => Refusal::new(403).because("Not Your Address"),
            IdentityError::Malformed | IdentityError::Scheme => Refusal::new(403).because("Unknown Caller"),
        })
    }

    /// A request in a dialog has to be of the user whose dialog it is. Where nobody was asked there is no telling.
    pub(super) fn check_owner(&self, tag: Tag, caller: &Caller) -> Result<(), Refusal> {
        let account = self.calls.account(tag).or_else(|| self.subscriptions.account(tag));
        let Some(account) = account else { return Ok(()) };
        let own = match caller {
            Caller::Claimed | Caller::Vouched => true,
            Caller::Authenticated(name) => {
                self.settings.domains.iter().any(|domain| Aor::new(name, domain).as_ref() == Ok(account))
            }
            Caller::Asserted(all) => all.iter().any(|address| aor(&address.uri).as_ref() == Ok(account)),
        };
        if own { Ok(()) } else { Err(Refusal::new(403).because("Not Your Call")) }
    }
}
