//! Recipient lists (RFC 4826 as used by RFC 5366), with the copy control of RFC 5364.

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::escape::{escape, resolve_predefined_entity};
use quick_xml::events::{BytesStart, Event};

use crate::limits::Limits;

/// One recipient of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The URI as received.
    pub uri: String,
    /// The display name, if there is one.
    pub display_name: Option<String>,
    /// Whether other recipients may see this one.
    pub copy: CopyControl,
    /// Whether other recipients may see that there is somebody, but not who.
    pub anonymous: bool,
}

/// The value of `copyControl` (RFC 5364 §4). A recipient without one counts as [`Self::Bcc`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CopyControl {
    /// `to`: visible.
    To,
    /// `cc`: visible as a copy.
    Cc,
    /// `bcc`: not visible.
    Bcc,
}

/// Why a list cannot be used. The sender is at fault.
///
/// Exhaustive, so that an application can choose a response for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// Malformed: the body is not a resource list: 400.
    #[error("not a resource list")]
    Malformed,
    /// Beyond a limit: there are more than `recipients_max` recipients: 413.
    #[error("too many recipients")]
    TooLong,
}

/// Parses a recipient list. Nested lists are read as one; references are ignored, as RFC 5366 §4 allows.
///
/// # Errors
/// Returns [`ListError::Malformed`] if `xml` is not a resource list, and [`ListError::TooLong`] if it has more than
/// [`RECIPIENTS_MAX`](crate::limits::RECIPIENTS_MAX) recipients.
pub fn recipients(xml: &[u8]) -> Result<Vec<Recipient>, ListError> {
    recipients_with(xml, &Limits::DEFAULT)
}

/// [`recipients`] with other limits: `recipients_max` of `limits`.
///
/// # Errors
/// Returns an error as [`recipients`] does.
pub fn recipients_with(xml: &[u8], limits: &Limits) -> Result<Vec<Recipient>, ListError> {
    let text = std::str::from_utf8(xml).map_err(|_| ListError::Malformed)?;
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}').trim_start());
    let mut found: Vec<Recipient> = Vec::new();
    let (mut depth, mut rooted, mut named) = (0usize, false, None::<String>);
    loop {
        match reader.read_event().map_err(|_| ListError::Malformed)? {
            Event::Start(tag) | Event::Empty(tag) if !rooted && tag.local_name().as_ref() != b"resource-lists" => {
                return Err(ListError::Malformed);
            }
            Event::Empty(tag) => {
                rooted = true;
                take(&tag, limits, &mut found)?;
            }
            Event::Start(tag) => {
                (rooted, depth) = (true, depth + 1);
                take(&tag, limits, &mut found)?;
                named = (tag.local_name().as_ref() == b"display-name").then(String::new);
            }
            Event::Text(text) => {
                if let Some(name) = &mut named {
                    name.push_str(&text.decode().map_err(|_| ListError::Malformed)?);
                }
            }
            Event::GeneralRef(entity) => {
                let known = entity.decode().ok().and_then(|name| resolve_predefined_entity(&name));
                if let (Some(name), Some(known)) = (&mut named, known) {
                    name.push_str(known);
                }
            }
            Event::End(_) => {
                depth = depth.saturating_sub(1);
                let name = named.take().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
                if let (Some(name), Some(last)) = (name, found.last_mut()) {
                    last.display_name = (!name.chars().any(char::is_control)).then_some(name);
                }
            }
            Event::Eof if rooted && depth == 0 => return Ok(found),
            Event::Eof => return Err(ListError::Malformed),
            _ => {}
        }
    }
}

fn take(tag: &BytesStart<'_>, limits: &Limits, found: &mut Vec<Recipient>) -> Result<(), ListError> {
    if tag.local_name().as_ref() != b"entry" {
        return Ok(());
    }
    let mut recipient = Recipient { uri: String::new(), display_name: None, copy: CopyControl::Bcc, anonymous: false };
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|_| ListError::Malformed)?;
        let value = attribute.unescape_value().map_err(|_| ListError::Malformed)?;
        match attribute.key.local_name().as_ref() {
            b"uri" => recipient.uri = value.trim().to_owned(),
            b"copyControl" => {
                recipient.copy = match value.trim() {
                    "to" => CopyControl::To,
                    "cc" => CopyControl::Cc,
                    _ => CopyControl::Bcc,
                }
            }
            b"anonymize" => recipient.anonymous = matches!(value.trim(), "true" | "1"),
            _ => {}
        }
    }
    if recipient.uri.is_empty() {
        return Err(ListError::Malformed);
    }
    if found.len() >= limits.recipients_max {
        return Err(ListError::TooLong);
    }
    found.push(recipient);
    Ok(())
}

/// The list as its recipients may see it (RFC 5366 §5, RFC 5364 §4): without those of [`CopyControl::Bcc`], and with a count of the
/// anonymous ones. `None` if nobody is visible.
#[must_use]
pub fn recipients_history(all: &[Recipient]) -> Option<String> {
    let mut entries = String::new();
    let mut nameless: BTreeMap<CopyControl, usize> = BTreeMap::new();
    for recipient in all.iter().filter(|recipient| recipient.copy != CopyControl::Bcc) {
        if recipient.anonymous {
            *nameless.entry(recipient.copy).or_default() += 1;
            continue;
        }
        let uri = escape(recipient.uri.as_str());
        entries += &format!("<entry uri=\"{uri}\" cp:copyControl=\"{}\"/>", recipient.copy.name());
    }
    for (copy, count) in nameless {
        entries += &format!(
            "<entry uri=\"sip:anonymous@anonymous.invalid\" cp:copyControl=\"{}\" cp:count=\"{count}\"/>",
            copy.name()
        );
    }
    (!entries.is_empty()).then(|| {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\" \
             xmlns:cp=\"urn:ietf:params:xml:ns:copycontrol\"><list>{entries}</list></resource-lists>"
        )
    })
}

impl CopyControl {
    fn name(self) -> &'static str {
        match self {
            Self::To => "to",
            Self::Cc => "cc",
            Self::Bcc => "bcc",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::RECIPIENTS_MAX;

    /// That of RFC 5366 §6, whose namespace is spelled in two ways there.
    const LIST: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
        <resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\" xmlns:cp=\"urn:ietf:params:xml:ns:copyControl\">\n\
        <list>\n<entry uri=\"sip:bill@example.com\" cp:copyControl=\"to\" />\n\
        <entry uri=\"sip:randy@example.net\" cp:copyControl=\"to\"\n cp:anonymize=\"true\"/>\n\
        <entry uri=\"sip:eddy@example.com\" cp:copyControl=\"to\" cp:anonymize=\"true\"/>\n\
        <entry uri=\"sip:joe@example.org\" cp:copyControl=\"cc\" />\n\
        <entry uri=\"sip:carol@example.net\" cp:copyControl=\"cc\" cp:anonymize=\"true\"/>\n\
        <entry uri=\"sip:ted@example.net\" cp:copyControl=\"bcc\" /></list></resource-lists>\n";

    fn uris(xml: &str) -> Result<Vec<String>, ListError> {
        Ok(recipients(xml.as_bytes())?.into_iter().map(|one| one.uri).collect())
    }

    #[test]
    fn the_list_of_the_rfc_is_read_and_written() {
        let all = recipients(LIST.as_bytes()).unwrap();
        assert_eq!(all.len(), 6);
        assert_eq!((all[1].copy, all[1].anonymous, all[5].copy), (CopyControl::To, true, CopyControl::Bcc));
        let shown = recipients_history(&all).unwrap();
        assert!(!shown.contains("randy") && !shown.contains("ted@") && !shown.contains("carol"));
        let seen: Vec<(String, CopyControl)> =
            recipients(shown.as_bytes()).unwrap().into_iter().map(|one| (one.uri, one.copy)).collect();
        let anonymous = "sip:anonymous@anonymous.invalid".to_owned();
        assert_eq!(
            seen,
            [
                ("sip:bill@example.com".into(), CopyControl::To),
                ("sip:joe@example.org".into(), CopyControl::Cc),
                (anonymous.clone(), CopyControl::To),
                (anonymous, CopyControl::Cc),
            ]
        );
        assert!(
            shown.contains("cp:copyControl=\"to\" cp:count=\"2\"")
                && shown.contains("cp:copyControl=\"cc\" cp:count=\"1\"")
        );
    }

    #[test]
    fn a_recipient_without_copy_control_is_not_visible() {
        let all = recipients(b"<resource-lists><list><entry uri='sip:a@b'/></list></resource-lists>").unwrap();
        assert_eq!(recipients_history(&all), None);
    }

    #[test]
    fn names_escapes_and_nesting_are_read() {
        let xml = "\u{feff} <rl:resource-lists xmlns:rl='urn:ietf:params:xml:ns:resource-lists'><!-- x --><rl:list>\
            <rl:display-name>Friends</rl:display-name><rl:entry uri=' sip:a@b?x=1&amp;y=2 '>\
            <rl:display-name>A &amp; B</rl:display-name></rl:entry><rl:list><rl:entry uri='sip:c@d'/></rl:list>\
            <rl:entry-ref ref='x'/><rl:external anchor='y'/></rl:list></rl:resource-lists>";
        let all = recipients(xml.as_bytes()).unwrap();
        assert_eq!((all[0].uri.as_str(), all[0].display_name.as_deref()), ("sip:a@b?x=1&y=2", Some("A & B")));
        assert_eq!((all.len(), all[1].uri.as_str(), &all[1].display_name), (2, "sip:c@d", &None));
    }

    #[test]
    fn other_bodies_are_errors_and_no_prefix_panics() {
        for bad in ["", "x", "<x/>", "<resource-lists><list>", "<resource-lists><list><entry/></list></resource-lists>"]
        {
            assert_eq!(uris(bad), Err(ListError::Malformed), "{bad}");
        }
        assert_eq!(recipients(b"\xff"), Err(ListError::Malformed));
        for end in 0..LIST.len() {
            let _ = recipients(&LIST.as_bytes()[..end]);
        }
        let long = format!("<resource-lists>{}</resource-lists>", "<entry uri='sip:a@b'/>".repeat(RECIPIENTS_MAX + 1));
        assert_eq!(uris(&long), Err(ListError::TooLong));
        let two = "<resource-lists><entry uri='sip:a@b'/><entry uri='sip:c@d'/></resource-lists>".as_bytes();
        let within =
            |max: usize| recipients_with(two, &Limits { recipients_max: max, ..Limits::DEFAULT }).map(|all| all.len());
        assert_eq!((within(2), within(1)), (Ok(2), Err(ListError::TooLong)));
    }

    #[test]
    fn entities_are_not_expanded() {
        let xml = "<!DOCTYPE x [<!ENTITY e \"sip:evil@b\">]><resource-lists><entry uri='&e;'/></resource-lists>";
        assert!(uris(xml).is_err());
    }
}
