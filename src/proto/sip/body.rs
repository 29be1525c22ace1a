//! The bodies of messages: a session description or a recipient list, alone or in a multipart body (RFC 5621).

use bytes::Bytes;
use sipx_sip::Headers;

use crate::limits::Limits;
use crate::mime::{self, ContentHeaders, Field, MimeError, Value};

/// Why a body has no usable session description or recipient list. The sender is at fault.
///
/// Exhaustive, so that an application can choose a response for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The body has another type: 415.
    #[error("the body is of a type that is not taken")]
    Unsupported,
    /// The body is encoded: 415.
    #[error("the body is in a coding that is not taken")]
    Coding,
    /// The body does not match its headers, its headers are malformed or ambiguous, or it is beyond a limit: 400.
    #[error("the body is not what its header says")]
    Malformed,
}

impl From<MimeError> for BodyError {
    fn from(_: MimeError) -> Self {
        Self::Malformed
    }
}

/// The session description of a message; `None` if there is no body, or one that may be ignored (RFC 3261 §20.11). In a multipart body it
/// is the first part of that type: RCS clients put a recipient list beside it. Shares the memory of `body`.
///
/// # Errors
/// Returns an error if there is a body without a description, or with a malformed or encoded one.
pub fn session_description(headers: &Headers, body: &Bytes) -> Result<Option<Bytes>, BodyError> {
    session_description_with(headers, body, &Limits::DEFAULT)
}

/// [`session_description`] with other limits: the fields of `limits` that begin with `body_`.
///
/// # Errors
/// Returns an error as [`session_description`] does.
pub fn session_description_with(headers: &Headers, body: &Bytes, limits: &Limits) -> Result<Option<Bytes>, BodyError> {
    if body.is_empty() {
        return Ok(None);
    }
    let whole = Entity::of_message(headers, body)?;
    let is_optional = whole.handling_is("optional")?;
    match describe(whole, limits) {
        Err(_) if is_optional => Ok(None),
        found => Ok(found?.map(|description| body.slice_ref(description))),
    }
}

/// Whether the body of a message may be ignored if it is not understood (RFC 3261 §20.11).
#[must_use]
pub fn body_is_optional(headers: &Headers) -> bool {
    Entity::of_message(headers, &[]).and_then(|whole| whole.handling_is("optional")) == Ok(true)
}

/// The recipient list of an INVITE (RFC 5366 §3), as its body or as a part of it; `None` if there is none. Shares the memory of `body`.
/// See [`recipients`](super::recipients).
///
/// # Errors
/// Returns an error if the body is malformed, or if the list is encoded.
pub fn recipient_list(headers: &Headers, body: &Bytes) -> Result<Option<Bytes>, BodyError> {
    recipient_list_with(headers, body, &Limits::DEFAULT)
}

/// [`recipient_list`] with other limits: the fields of `limits` that begin with `body_`.
///
/// # Errors
/// Returns an error as [`recipient_list`] does.
pub fn recipient_list_with(headers: &Headers, body: &Bytes, limits: &Limits) -> Result<Option<Bytes>, BodyError> {
    if body.is_empty() {
        return Ok(None);
    }
    let whole = Entity::of_message(headers, body)?;
    let list = match whole.is_multipart() {
        true => leaves(whole, limits)?.into_iter().find(Entity::is_recipient_list),
        false => Some(whole).filter(Entity::is_recipient_list),
    };
    list.map(|list| Ok(body.slice_ref(list.plain_content()?))).transpose()
}

fn describe<'a>(whole: Entity<'a>, limits: &Limits) -> Result<Option<&'a [u8]>, BodyError> {
    let (mut is_listed, mut description) = (false, None);
    for part in leaves(whole, limits)? {
        if part.is_recipient_list() {
            is_listed = true;
        } else if part.is_description() {
            description = description.or(Some(part));
        } else if part.handling_is("required")? && !part.is_alternative {
            // RFC 3261 §8.2.3, if the part says so; other parts are ignored, as clients send all kinds of parts.
            return Err(BodyError::Unsupported);
        }
    }
    match description {
        Some(part) => part.plain_content().map(Some),
        None if is_listed => Ok(None),
        None => Err(BodyError::Unsupported),
    }
}

/// A body or a part of one: its headers and its octets.
struct Entity<'a> {
    headers: ContentHeaders<'a>,
    media_type: Option<Value<'a>>,
    disposition: Option<Value<'a>>,
    content: &'a [u8],
    /// Whether it is one of several alternatives: its handling is ignored (RFC 5621 §8.3).
    is_alternative: bool,
}

impl<'a> Entity<'a> {
    fn of_message(headers: &'a Headers, body: &'a [u8]) -> Result<Self, BodyError> {
        let fields = headers.iter().map(|header| Field { name: header.name().canonical(), body: header.raw_value() });
        Self::new(fields.map(Ok), body)
    }

    /// Parses a part with its headers; their compact names are accepted.
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

    /// Whether it describes the session: without a disposition it does, with another disposition than `session` it does not (RFC 3261
    /// §20.11).
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

    /// The content, unless it is encoded.
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

/// The parts of a body that are not multipart, those of nested bodies included (RFC 5621 §4); a plain body itself.
fn leaves<'a>(whole: Entity<'a>, limits: &Limits) -> Result<Vec<Entity<'a>>, BodyError> {
    let mut found = Vec::new();
    add_leaves(whole, 0, limits, &mut found)?;
    Ok(found)
}

fn add_leaves<'a>(
    entity: Entity<'a>,
    nesting: usize,
    limits: &Limits,
    found: &mut Vec<Entity<'a>>,
) -> Result<(), BodyError> {
    let Some(kind) = entity.media_type.as_ref().filter(|kind| kind.is_multipart()) else {
        found.push(entity);
        return if found.len() > limits.body_parts_max { Err(BodyError::Malformed) } else { Ok(()) };
    };
    let boundary = kind.parameter("boundary")?.filter(|boundary| !boundary.is_empty()).ok_or(BodyError::Malformed)?;
    if nesting >= limits.body_nesting_max {
        return Err(BodyError::Malformed);
    }
    for part in mime::parts_with(entity.plain_content()?, &boundary, limits)? {
        let mut part = Entity::of_part(part)?;
        part.is_alternative = entity.is_alternative || kind.is("multipart/alternative");
        add_leaves(part, nesting + 1, limits, found)?;
    }
    Ok(())
}

/// A multipart body of a session description and a recipient-list history (RFC 5366 §5). Returns its Content-Type and the body.
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
