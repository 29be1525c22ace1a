//! Reading the two header blocks of a message.

use std::borrow::Cow;

use super::namespaces::Namespaces;
use super::{AddressError, CpimError, Header, Scanner};
use crate::limits::{Limits, compact};
use crate::mime::{ContentHeaders, Field, Value, fields, unfold};

/// The header blocks of a wrapped message. Borrows from the message; allocates only for a media type that has white space or comments
/// in it.
#[derive(Debug, Clone)]
pub struct Wrapper<'a> {
    metadata: &'a [u8],
    mime: &'a [u8],
    from: Result<&'a [u8], AddressError>,
    to: Result<&'a [u8], AddressError>,
    content_type: Option<&'a [u8]>,
    media_type: Option<Cow<'a, str>>,
    prefixes_max: u32,
    /// Where the content begins: octets from the start of the message.
    pub content_offset: usize,
}

/// Parses the header blocks of a message that may not have arrived completely. Returns `None` if the blocks have not ended yet.
///
/// # Errors
/// Returns an error if the blocks are too long, if a line of the first is not a header, or if a header is malformed or ambiguous.
pub fn parse(input: &[u8]) -> Result<Option<Wrapper<'_>>, CpimError> {
    parse_with(input, &Limits::DEFAULT)
}

/// [`parse`] with other limits: the fields of `limits` that begin with `cpim_`.
///
/// # Errors
/// Returns an error as [`parse`] does.
pub fn parse_with<'a>(input: &'a [u8], limits: &Limits) -> Result<Option<Wrapper<'a>>, CpimError> {
    let mut scanner = Scanner::with_limits(limits);
    let Some(content) = scanner.feed(input)? else { return Ok(None) };
    let metadata_end = scanner.metadata_end().unwrap_or(content);
    read(input, metadata_end, content, limits).map(Some)
}

/// Parses the header blocks of a complete message. A message that ends within its MIME headers has no content.
///
/// # Errors
/// Returns an error as [`parse`] does, and [`CpimError::Unfinished`] if the message ends within its first header block.
pub fn parse_complete(input: &[u8]) -> Result<Wrapper<'_>, CpimError> {
    parse_complete_with(input, &Limits::DEFAULT)
}

/// [`parse_complete`] with other limits: the fields of `limits` that begin with `cpim_`.
///
/// # Errors
/// Returns an error as [`parse_complete`] does.
pub fn parse_complete_with<'a>(input: &'a [u8], limits: &Limits) -> Result<Wrapper<'a>, CpimError> {
    let mut scanner = Scanner::with_limits(limits);
    scanner.feed(input)?;
    let content = scanner.finish()?;
    read(input, scanner.metadata_end().unwrap_or(content), content, limits)
}

fn read<'a>(input: &'a [u8], metadata_end: usize, content: usize, limits: &Limits) -> Result<Wrapper<'a>, CpimError> {
    let (metadata, mime) = (&input[..metadata_end], &input[metadata_end..content]);
    let (mut from, mut to) = (Err(AddressError::Missing), Err(AddressError::Missing));
    let (mut namespaces, mut of_content) = (Namespaces::new(limits.cpim_prefixes_max), ContentHeaders::default());
    for line in lines(metadata) {
        let header = Header::parse(line).ok_or(CpimError::Header)?;
        // Case-sensitive, RFC 3862 §2.2.
        match namespaces.resolve(&header)? {
            Some("From") => from = one_more(from, &header),
            Some("To") => to = one_more(to, &header),
            // A header of the MIME block, if the two are merged: see the scanner.
            _ => of_content.insert(Field::parse(line)?)?,
        }
    }
    of_content.parse_more(mime)?;
    let content_type = of_content.content_type();
    Ok(Wrapper {
        metadata,
        mime,
        from,
        to,
        content_type,
        media_type: media_type(content_type),
        prefixes_max: compact(limits.cpim_prefixes_max),
        content_offset: content,
    })
}

/// The media type of a Content-Type. Without one the content is plain text (RFC 2045 §5.2).
fn media_type(content_type: Option<&[u8]>) -> Option<Cow<'_, str>> {
    match content_type {
        Some(body) => Value::media_type(body).map(Value::into_text),
        None => Some(Cow::Borrowed("text/plain")),
    }
}

/// The address of a header after one more header of its name.
fn one_more<'a>(sofar: Result<&'a [u8], AddressError>, header: &Header<'a>) -> Result<&'a [u8], AddressError> {
    match sofar {
        Err(AddressError::Missing) => header.uri().ok_or(AddressError::Unreadable),
        Err(AddressError::Several(count)) => Err(AddressError::Several(count + 1)),
        Ok(_) | Err(AddressError::Unreadable) => Err(AddressError::Several(2)),
    }
}

/// The lines of a block without their line ends, up to the empty one.
fn lines(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    block
        .split(|&b| b == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .take_while(|line| !line.is_empty())
}

impl<'a> Wrapper<'a> {
    /// The URI of the From header, without angle brackets.
    ///
    /// # Errors
    /// Returns an error if there is no From header, more than one, or one without a readable address.
    pub fn from(&self) -> Result<&'a [u8], AddressError> {
        self.from
    }

    /// The URI of the To header, without angle brackets.
    ///
    /// # Errors
    /// Returns an error if there is no To header, more than one, or one without a readable address.
    pub fn to(&self) -> Result<&'a [u8], AddressError> {
        self.to
    }

    /// The Content-Type of the content with its parameters, `text/plain; charset=utf-8`, in one line; `None` if there is none.
    #[must_use]
    pub fn content_type(&self) -> Option<Cow<'a, [u8]>> {
        self.content_type.map(unfold)
    }

    /// The media type of the content without parameters and comments: `text/plain` if there is no Content-Type (RFC 2045 §5.2), `None`
    /// if there is a malformed one.
    #[must_use]
    pub fn media_type(&self) -> Option<&str> {
        self.media_type.as_deref()
    }

    /// Every CPIM header in order, with its namespace resolved.
    pub fn headers(&self) -> impl Iterator<Item = Header<'a>> + use<'a> {
        let mut namespaces = Namespaces::new(self.prefixes_max as usize);
        // `parse` accepted every line, so none is skipped.
        lines(self.metadata).filter_map(Header::parse).map(move |mut header| {
            header.cpim_name = namespaces.resolve(&header).ok().flatten();
            header
        })
    }

    /// The first header whose name is this one: a name of CPIM's own namespace, or a name with its prefix as received. Compared
    /// case-sensitively.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<Header<'a>> {
        let written = |header: &Header<'_>| header.prefix().is_some() && header.name == name;
        self.headers().find(|header| header.cpim_name == Some(name) || written(header))
    }

    /// The MIME headers of the content: name and value, each value in one line. Compare names without regard to case.
    pub fn mime_headers(&self) -> impl Iterator<Item = (&'a [u8], Cow<'a, [u8]>)> + use<'a> {
        fields(self.mime).filter_map(Result::ok).map(|field| (field.name, unfold(field.body)))
    }
}
