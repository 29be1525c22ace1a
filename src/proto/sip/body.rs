//! Finding the session description in a message, alone or in a multipart body (RFC 5621).

use bytes::Bytes;
use sipx_sip::Headers;

use crate::limits::{BODY_NESTING_MAX, BODY_PARTS_MAX};
use crate::mime::{self, ContentHeaders, Field, MimeError, Value};

/// Why a body has no session description for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Another type: 415.
    #[error("the body is of a type that is not taken")]
    Unsupported,
    /// It is packed: 415.
    #[error("the body is in a coding that is not taken")]
    Coding,
    /// It is not what its header says, or its headers have no one meaning: 400.
    #[error("the body is not what its header says")]
    Malformed,
}

impl From<MimeError> for BodyError {
    fn from(_: MimeError) -> Self {
        Self::Malformed
    }
}

/// The session description that a message carries; `None` where it has no body, or one that may be ignored (RFC 3261
/// §20.11). Of a multipart body it is the first part of that type: RCS clients put a recipient list beside it.
///
/// # Errors
/// Where there is a body, but no description in it, or one that cannot be read.
pub fn session_description(headers: &Headers, body: &Bytes) -> Result<Option<Bytes>, BodyError> {
    if body.is_empty() {
        return Ok(None);
    }
    let whole = Entity::of_message(headers, body)?;
    let is_optional = whole.handling_is("optional")?;
    match describe(whole) {
        Err(_) if is_optional => Ok(None),
        found => Ok(found?.map(|description| body.slice_ref(description))),
    }
}

/// Whether the body of a message may be ignored where it is not understood (RFC 3261 §20.11).
#[must_use]
pub fn body_is_optional(headers: &Headers) -> bool {
    Entity::of_message(headers, &[]).and_then(|whole| whole.handling_is("optional")) == Ok(true)
}

/// The list of others that an INVITE carries (RFC 5366 §3), as its body or as a part of it; `None` where it has none.
///
/// # Errors
/// Where the body cannot be taken apart, or the list is in a coding.
pub fn recipient_list(headers: &Headers, body: &Bytes) -> Result<Option<Bytes>, BodyError> {
    if body.is_empty() {
        return Ok(None);
    }
    let whole = Entity::of_message(headers, body)?;
    let list = match whole.is_multipart() {
        true => leaves(whole)?.into_iter().find(Entity::is_recipient_list),
        false => Some(whole).filter(Entity::is_recipient_list),
    };
    list.map(|list| Ok(body.slice_ref(list.plain_content()?))).transpose()
}

fn describe(whole: Entity<'_>) -> Result<Option<&[u8]>, BodyError> {
    let (mut is_listed, mut description) = (false, None);
    for part in leaves(whole)? {
        if part.is_recipient_list() {
            is_listed = true;
        } else if part.is_description() {
            description = description.or(Some(part));
        } else if part.handling_is("required")? && !part.is_alternative {
            // RFC 3261 §8.2.3, by the letter where a part says so; what says nothing is let be, as clients bring all kinds of parts.
            return Err(BodyError::Unsupported);
        }
    }
    match description {
        Some(part) => part.plain_content().map(Some),
        None if is_listed => Ok(None),
        None => Err(BodyError::Unsupported),
    }
}

/// A body or a part of one: what its headers say of it, and its octets.
struct Entity<'a> {
    headers: ContentHeaders<'a>,
    media_type: Option<Value<'a>>,
    disposition: Option<Value<'a>>,
    content: &'a [u8],
    /// It is one of several forms of the same thing: its handling says nothing (RFC 5621 §8.3).
    is_alternative: bool,
}

impl<'a> Entity<'a> {
    fn of_message(headers: &'a Headers, body: &'a [u8]) -> Result<Self, BodyError> {
        let fields = headers.iter().map(|header| Field { name: header.name().canonical(), body: header.raw_value() });
        Self::new(fields.map(Ok), body)
    }

    /// Reads a part with its headers; their compact names are let pass.
    fn of_part(part: &'a [u8]) -> Result<Self, BodyError> {
        let (head, content) = mime::split_head(part);
        let long = |field: Field<'a>| Field { name: long_name(field.name), ..field };
        Self::new(mime::fields(head).map(|field| field.map(long)), content)
    }

    fn new(fields: impl Iterator<Item = Result<Field<'a>, MimeError>>, content: &'a [u8]) -> Result<Self, BodyError> {
        let mut headers = ContentHeaders::default();
        for field in fields {
            headers.insert(field?)?;
        }
        let (media_type, disposition) = (headers.media_type()?, headers.disposition()?);
        Ok(Self { headers, media_type, disposition, content, is_alternative: false })
    }

    fn is_multipart(&self) -> bool {
        self.media_type.as_ref().is_some_and(Value::is_multipart)
    }

    /// Whether it describes the session. Without a disposition it does, with another one than that it does not (RFC 3261 §20.11).
    fn is_description(&self) -> bool {
        self.media_type.as_ref().is_some_and(|kind| kind.is("application/sdp"))
            && self.disposition.as_ref().is_none_or(|disposition| disposition.is("session"))
    }

    fn is_recipient_list(&self) -> bool {
        self.disposition.as_ref().is_some_and(|disposition| disposition.is("recipient-list"))
    }

    fn handling_is(&self, wanted: &str) -> Result<bool, BodyError> {
        let is = self.disposition.as_ref().map(|disposition| disposition.parameter_is("handling", wanted));
        Ok(is.transpose()?.unwrap_or(false))
    }

    /// The content, where it is in no coding.
    fn plain_content(&self) -> Result<&'a [u8], BodyError> {
        if self.headers.is_unencoded() { Ok(self.content) } else { Err(BodyError::Coding) }
    }
}

fn long_name(name: &[u8]) -> &[u8] {
    match name {
        b"c" | b"C" => b"Content-Type",
        b"e" | b"E" => b"Content-Encoding",
        b"l" | b"L" => b"Content-Length",
        other => other,
    }
}

/// The parts of a body that have none themselves, those of multipart bodies within it included (RFC 5621 §4); of a plain body
/// itself.
fn leaves(whole: Entity<'_>) -> Result<Vec<Entity<'_>>, BodyError> {
    let mut found = Vec::new();
    add_leaves(whole, 0, &mut found)?;
    Ok(found)
}

fn add_leaves<'a>(entity: Entity<'a>, nesting: usize, found: &mut Vec<Entity<'a>>) -> Result<(), BodyError> {
    let Some(kind) = entity.media_type.as_ref().filter(|kind| kind.is_multipart()) else {
        found.push(entity);
        return if found.len() > BODY_PARTS_MAX { Err(BodyError::Malformed) } else { Ok(()) };
    };
    let boundary = kind.parameter("boundary")?.filter(|boundary| !boundary.is_empty()).ok_or(BodyError::Malformed)?;
    if nesting >= BODY_NESTING_MAX {
        return Err(BodyError::Malformed);
    }
    for part in mime::parts(entity.plain_content()?, &boundary)? {
        let mut part = Entity::of_part(part)?;
        part.is_alternative = entity.is_alternative || kind.is("multipart/alternative");
        add_leaves(part, nesting + 1, found)?;
    }
    Ok(())
}

/// A description and a list of who else was invited, in one body with its type (RFC 5366 §5).
#[must_use]
pub fn multipart_with_history(description: &str, history: &str) -> (String, String) {
    let taken = |boundary: &String| description.contains(boundary) || history.contains(boundary);
    let boundary = (0u32..).map(|n| format!("parlor-part-{n}")).find(|boundary| !taken(boundary)).unwrap_or_default();
    let body = format!(
        "--{boundary}\r\nContent-Type: application/sdp\r\n\r\n{description}\r\n--{boundary}\r\n\
         Content-Type: application/resource-lists+xml\r\n\
         Content-Disposition: recipient-list-history; handling=optional\r\n\r\n{history}\r\n--{boundary}--\r\n"
    );
    (format!("multipart/mixed;boundary={boundary}"), body)
}

#[cfg(test)]
mod tests;
