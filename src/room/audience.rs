//! Who a message is for, by the wrapper it comes in (RFC 7701 §6.1–6.3).

use smallvec::SmallVec;

use super::Room;
use crate::ids::SessionKey;
use parlor_proto::cpim::{AddressError, Wrapper};
use parlor_proto::msrp::Status;
use parlor_proto::uri::Aor;

/// Who gets a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// Every session in the room but the sending one.
    Room,
    /// These sessions of one user.
    Private(SmallVec<[SessionKey; 2]>),
}

/// The type of a message, as far as it concerns who takes it; `None` where it cannot be read.
#[must_use]
pub fn wrapped_type<'a>(wrapper: &'a Wrapper<'_>) -> Option<&'a str> {
    wrapper.media_type()
}

impl Room {
    /// Decides who gets a message. `is_sender` tells whether a URI is one of the sender's own.
    ///
    /// # Errors
    /// Returns the status that the sender gets: 400 if there is no From, more than one, or no To; 403 if the From cannot be read or
    /// is somebody else's (RFC 7701 §6.3), if there is more than one To, or if the room has no private messages; 404 if the To is
    /// nobody here; 415 if the room, or every session of the addressee, does not take the type; 428 if the addressee takes no private
    /// messages.
    pub fn audience(&self, wrapper: &Wrapper<'_>, is_sender: impl Fn(&[u8]) -> bool) -> Result<Audience, Status> {
        let from = wrapper.from().map_err(|error| match error {
            AddressError::Missing | AddressError::Several(_) => Status::BAD_REQUEST,
            AddressError::Unreadable => Status::FORBIDDEN,
        })?;
        if !is_sender(from) {
            return Err(Status::FORBIDDEN);
        }
        let to = wrapper.to().map_err(|error| match error {
            AddressError::Missing => Status::BAD_REQUEST,
            AddressError::Several(_) => Status::FORBIDDEN,
            AddressError::Unreadable => Status::NOT_FOUND,
        })?;
        let content_type = wrapped_type(wrapper);
        if !self.takes_type(content_type) {
            return Err(Status::UNSUPPORTED_MEDIA);
        }
        if to == self.uri.as_bytes() {
            return Ok(Audience::Room);
        }
        let to = Aor::parse(to).map_err(|_| Status::NOT_FOUND)?;
        if self.is_named(&to) {
            return Ok(Audience::Room);
        }
        self.private_audience(&to, content_type)
    }

    fn private_audience(&self, to: &Aor, content_type: Option<&str>) -> Result<Audience, Status> {
        if !self.policy.private_messages {
            return Err(Status::FORBIDDEN);
        }
        let sessions = self.roster.sessions_of(to);
        if sessions.is_empty() {
            return Err(Status::NOT_FOUND);
        }
        let members = || sessions.iter().filter_map(|session| self.roster.member(*session));
        let able = || members().filter(|member| member.takes_private);
        if able().next().is_none() {
            return Err(Status::PRIVATE_UNSUPPORTED);
        }
        let takers: SmallVec<_> =
            able().filter(|member| self.roster.accepts(member, content_type)).map(|member| member.session).collect();
        if takers.is_empty() { Err(Status::UNSUPPORTED_MEDIA) } else { Ok(Audience::Private(takers)) }
    }
}
