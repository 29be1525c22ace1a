//! The two header blocks of a message, read.

use std::borrow::Cow;

use super::namespaces::Namespaces;
use super::{AddressError, CpimError, Header, Scanner};
use crate::mime::{ContentHeaders, Field, Value, fields, unfold};

/// What stands before the content of a wrapped message. Borrows from the message, and allocates for a media type that was
/// written in pieces only.
#[derive(Debug, Clone)]
pub struct Wrapper<'a> {
    metadata: &'a [u8],
    mime: &'a [u8],
    from: Result<&'a [u8], AddressError>,
    to: Result<&'a [u8], AddressError>,
    content_type: Option<&'a [u8]>,
    media_type: Option<Cow<'a, str>>,
    /// Where the content begins in the message.
    pub content_offset: usize,
}

/// Reads the header blocks of a message whose rest may still be to come. `Ok(None)`: they have not ended yet.
///
/// # Errors
/// Where they do not end within the limit, or a line of the first is no header.
pub fn parse(input: &[u8]) -> Result<Option<Wrapper<'_>>, CpimError> {
    let mut scanner = Scanner::new();
    let Some(content) = scanner.feed(input)? else { return Ok(None) };
    let metadata_end = scanner.metadata_end().unwrap_or(content);
    read(input, metadata_end, content).map(Some)
}

/// Reads the header blocks of a message that is all there. One that ends early has no content.
///
/// # Errors
/// As [`parse`], and where the message ends within its first header block.
pub fn parse_complete(input: &[u8]) -> Result<Wrapper<'_>, CpimError> {
    let mut scanner = Scanner::new();
    scanner.feed(input)?;
    let content = scanner.finish()?;
    read(input, scanner.metadata_end().unwrap_or(content), content)
}

fn read(input: &[u8], metadata_end: usize, content: usize) -> Result<Wrapper<'_>, CpimError> {
    let (metadata, mime) = (&input[..metadata_end], &input[metadata_end..content]);
    let (mut from, mut to) = (Err(AddressError::Missing), Err(AddressError::Missing));
    let (mut namespaces, mut of_content) = (Namespaces::default(), ContentHeaders::default());
    for line in lines(metadata) {
        let header = Header::parse(line).ok_or(CpimError::Header)?;
        // Case-sensitive, RFC 3862 §2.2.
        match namespaces.resolve(&header)? {
            Some("From") => from = one_more(from, &header),
            Some("To") => to = one_more(to, &header),
            // Of blocks that run together: see the scanner.
            _ => of_content.insert(Field::parse(line)?)?,
        }
    }
    of_content.read_more(mime)?;
    let content_type = of_content.content_type();
    Ok(Wrapper {
        metadata,
        mime,
        from,
        to,
        content_type,
        media_type: media_type(content_type),
        content_offset: content,
    })
}

/// The type that a Content-Type names. Without one the content is plain text (RFC 2045 §5.2).
fn media_type(content_type: Option<&[u8]>) -> Option<Cow<'_, str>> {
    match content_type {
        Some(body) => Value::media_type(body).map(Value::into_word),
        None => Some(Cow::Borrowed("text/plain")),
    }
}

/// What is known of an address header after one more of its name.
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
    /// Where there is none, more than one, or one that has no readable address.
    pub fn from(&self) -> Result<&'a [u8], AddressError> {
        self.from
    }

    /// The URI of the To header, without angle brackets.
    ///
    /// # Errors
    /// Where there is none, more than one, or one that has no readable address.
    pub fn to(&self) -> Result<&'a [u8], AddressError> {
        self.to
    }

    /// The type of the content with its parameters, `text/plain; charset=utf-8`, in one line; `None` where no header has one.
    #[must_use]
    pub fn content_type(&self) -> Option<Cow<'a, [u8]>> {
        self.content_type.map(unfold)
    }

    /// The type of the content without parameters and comments, as far as it concerns who takes it: text/plain where no header
    /// has one (RFC 2045 §5.2), `None` where the one that is there cannot be read.
    #[must_use]
    pub fn media_type(&self) -> Option<&str> {
        self.media_type.as_deref()
    }

    /// Every CPIM header in order, its namespace resolved.
    pub fn headers(&self) -> impl Iterator<Item = Header<'a>> + use<'a> {
        let mut namespaces = Namespaces::default();
        // Each was read once already, so none is skipped.
        lines(self.metadata).filter_map(Header::parse).map(move |mut header| {
            header.cpim_name = namespaces.resolve(&header).ok().flatten();
            header
        })
    }

    /// The first header of a name of CPIM's own namespace, or of a name with the prefix that it was written with. Compared
    /// case-sensitively.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<Header<'a>> {
        let written = |header: &Header<'_>| header.prefix().is_some() && header.name == name;
        self.headers().find(|header| header.cpim_name == Some(name) || written(header))
    }

    /// The headers of the content, name and value, each in one line. Names are compared without regard to case.
    pub fn mime_headers(&self) -> impl Iterator<Item = (&'a [u8], Cow<'a, [u8]>)> + use<'a> {
        fields(self.mime).filter_map(Result::ok).map(|field| (field.name, unfold(field.body)))
    }
}
