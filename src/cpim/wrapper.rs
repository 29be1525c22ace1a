//! The two header blocks of a message, read.

use super::{AddressError, CpimError, Header, Scanner};

/// What stands before the content of a wrapped message. Borrows from the message and allocates nothing.
#[derive(Debug, Clone, Copy)]
pub struct Wrapper<'a> {
    metadata: &'a [u8],
    mime: &'a [u8],
    from: Result<&'a [u8], AddressError>,
    to: Result<&'a [u8], AddressError>,
    /// The type of the content with its parameters, `text/plain; charset=utf-8`, as it was written; `None` where the MIME
    /// headers have none. Of a folded header the first line.
    pub content_type: Option<&'a [u8]>,
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
pub fn parse_whole(input: &[u8]) -> Result<Wrapper<'_>, CpimError> {
    let mut scanner = Scanner::new();
    scanner.feed(input)?;
    let content = scanner.finish()?;
    read(input, scanner.metadata_end().unwrap_or(content), content)
}

fn read(input: &[u8], metadata_end: usize, content: usize) -> Result<Wrapper<'_>, CpimError> {
    let (metadata, mime) = (&input[..metadata_end], &input[metadata_end..content]);
    let (mut from, mut to) = (Err(AddressError::Missing), Err(AddressError::Missing));
    for line in lines(metadata) {
        let header = Header::parse(line).ok_or(CpimError::Header)?;
        // Case-sensitive, RFC 3862 §2.2.
        match header.name {
            "From" => from = one_more(from, &header),
            "To" => to = one_more(to, &header),
            _ => {}
        }
    }
    // Second choice, for blocks that run together: the CPIM headers.
    let content_type = content_type(mime).or_else(|| content_type(metadata));
    Ok(Wrapper { metadata, mime, from, to, content_type, content_offset: content })
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

/// Splits a MIME header; continuation lines are none.
fn mime_header(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', line)?;
    let name = line[..colon].trim_ascii_end();
    (!line[0].is_ascii_whitespace() && !name.is_empty()).then(|| (name, line[colon + 1..].trim_ascii()))
}

fn content_type(block: &[u8]) -> Option<&[u8]> {
    let named = |(name, value): (&[u8], _)| name.eq_ignore_ascii_case(b"Content-Type").then_some(value);
    lines(block).filter_map(mime_header).find_map(named).filter(|value: &&[u8]| !value.is_empty())
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

    /// Every CPIM header in order.
    pub fn headers(&self) -> impl Iterator<Item = Header<'a>> + use<'a> {
        // Each was read once already, so none is skipped.
        lines(self.metadata).filter_map(Header::parse)
    }

    /// The first CPIM header of a name, compared case-sensitively.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<Header<'a>> {
        self.headers().find(|header| header.name == name)
    }

    /// The headers of the content, name and value, continuation lines left out. Names are compared without regard to case.
    pub fn mime_headers(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        lines(self.mime).filter_map(mime_header)
    }
}
