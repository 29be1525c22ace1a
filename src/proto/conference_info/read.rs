//! Reading documents, as a subscriber does: unknown elements are ignored.

use std::borrow::Cow;

use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;

use super::{NAMESPACE, State, XCON_NAMESPACE};
use crate::limits::Limits;

/// A parsed document.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConferenceInfo {
    /// The URI of the conference.
    pub entity: String,
    /// How much of the conference the document describes.
    pub state: State,
    /// The version: a number that increases within a subscription; `None` if it is missing or not a number.
    pub version: Option<u32>,
    /// The subject, if the document has one.
    pub subject: Option<String>,
    /// The number of users, if the document has it.
    pub user_count: Option<u32>,
    /// How much of the list of users the document describes.
    pub users_state: State,
    /// The users that the document describes.
    pub users: Vec<UserUpdate>,
}

/// One user of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserUpdate {
    /// The URI of the user, which is the key.
    pub entity: String,
    /// How much of the user the document describes.
    pub state: State,
    /// The nickname, if there is one.
    pub nickname: Option<String>,
    /// The display text, if there is one.
    pub display_text: Option<String>,
}

/// Why a document cannot be read. The sender is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConferenceInfoError {
    /// Malformed: the document is not UTF-8.
    #[error("the document is not UTF-8")]
    Encoding,
    /// Malformed: the document is not well-formed XML.
    #[error("the document is not well-formed: {0}")]
    Syntax(String),
    /// Malformed: the document is not a conference-info document.
    #[error("the document has no conference information")]
    NotConferenceInfo,
    /// Beyond a limit: more than `conference_info_depth_max` elements within one another.
    #[error("the elements of the document are nested too deeply")]
    TooDeep,
}

impl ConferenceInfo {
    /// Parses a document.
    ///
    /// # Errors
    /// Returns an error if the document is not well-formed XML in UTF-8, if it is not a conference-info document, or if its elements
    /// are nested deeper than [`CONFERENCE_INFO_DEPTH_MAX`](crate::limits::CONFERENCE_INFO_DEPTH_MAX).
    pub fn parse(document: &[u8]) -> Result<Self, ConferenceInfoError> {
        Self::parse_with(document, &Limits::DEFAULT)
    }

    /// [`Self::parse`] with other limits: `conference_info_depth_max` of `limits`.
    ///
    /// # Errors
    /// Returns an error as [`Self::parse`] does.
    pub fn parse_with(document: &[u8], limits: &Limits) -> Result<Self, ConferenceInfoError> {
        let text = std::str::from_utf8(document).map_err(|_| ConferenceInfoError::Encoding)?;
        let mut reader = NsReader::from_str(text);
        let mut builder = DocumentBuilder { depth_max: limits.conference_info_depth_max, ..DocumentBuilder::default() };
        loop {
            let (namespace, event) =
                reader.read_resolved_event().map_err(|error| ConferenceInfoError::Syntax(error.to_string()))?;
            let ours = matches!(namespace, ResolveResult::Bound(Namespace(name)) if name == NAMESPACE.as_bytes());
            match event {
                Event::Start(start) => {
                    let attributes = Attributes::of(&reader, &start)?;
                    builder.open(&start, ours, attributes)?;
                }
                Event::Empty(start) => {
                    let attributes = Attributes::of(&reader, &start)?;
                    builder.open(&start, ours, attributes)?;
                    builder.close();
                }
                Event::End(_) => builder.close(),
                Event::Text(text) => builder.text(&text.xml_content().map_err(|_| ConferenceInfoError::Encoding)?),
                Event::CData(data) => builder.text(&data.decode().map_err(|_| ConferenceInfoError::Encoding)?),
                Event::GeneralRef(reference) => {
                    let name = reference.decode().map_err(|_| ConferenceInfoError::Encoding)?;
                    let resolved = quick_xml::escape::unescape(&format!("&{name};"))
                        .map(Cow::into_owned)
                        .map_err(|error| ConferenceInfoError::Syntax(error.to_string()))?;
                    builder.text(&resolved);
                }
                Event::Eof => break,
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
        builder.finish()
    }
}

/// The attributes that are read.
#[derive(Debug, Default)]
struct Attributes {
    entity: Option<String>,
    state: Option<State>,
    version: Option<u32>,
    nickname: Option<String>,
}

impl Attributes {
    fn of(reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> Result<Self, ConferenceInfoError> {
        let mut found = Self::default();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|error| ConferenceInfoError::Syntax(error.to_string()))?;
            let value = attribute
                .unescape_value()
                .map_err(|error| ConferenceInfoError::Syntax(error.to_string()))?
                .into_owned();
            let (namespace, name) = reader.resolve_attribute(attribute.key);
            let xcon = matches!(namespace, ResolveResult::Bound(Namespace(uri)) if uri == XCON_NAMESPACE.as_bytes());
            match name.as_ref() {
                b"entity" => found.entity = Some(value),
                b"state" => found.state = State::parse(&value),
                b"version" => found.version = value.trim().parse().ok(),
                b"nickname" if xcon => found.nickname = Some(value),
                _ => {}
            }
        }
        Ok(found)
    }
}

/// A document that is being read.
#[derive(Debug, Default)]
struct DocumentBuilder {
    /// The names of the open elements; empty for an element of another namespace.
    path: Vec<String>,
    text: String,
    info: Option<ConferenceInfo>,
    closed: bool,
    depth_max: usize,
}

impl DocumentBuilder {
    fn open(&mut self, start: &BytesStart<'_>, ours: bool, attributes: Attributes) -> Result<(), ConferenceInfoError> {
        if self.path.len() >= self.depth_max {
            return Err(ConferenceInfoError::TooDeep);
        }
        if self.path.is_empty() && self.info.is_some() {
            return Err(ConferenceInfoError::NotConferenceInfo);
        }
        let name = String::from_utf8_lossy(start.local_name().as_ref()).into_owned();
        self.path.push(if ours { name } else { String::new() });
        self.text.clear();
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let state = attributes.state.unwrap_or(State::Full);
        match (path.as_slice(), &mut self.info) {
            (["conference-info"], _) => {
                self.info = Some(ConferenceInfo {
                    entity: attributes.entity.unwrap_or_default(),
                    state,
                    version: attributes.version,
                    subject: None,
                    user_count: None,
                    users_state: state,
                    users: Vec::new(),
                });
            }
            (["conference-info", "users"], Some(info)) => info.users_state = state,
            (["conference-info", "users", "user"], Some(info)) => info.users.push(UserUpdate {
                entity: attributes.entity.unwrap_or_default(),
                state,
                nickname: attributes.nickname,
                display_text: None,
            }),
            (_, None) => return Err(ConferenceInfoError::NotConferenceInfo),
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn close(&mut self) {
        let text = std::mem::take(&mut self.text);
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        if let Some(info) = &mut self.info {
            match path.as_slice() {
                ["conference-info", "conference-description", "subject"] => info.subject = Some(text),
                ["conference-info", "conference-state", "user-count"] => info.user_count = text.trim().parse().ok(),
                ["conference-info", "users", "user", "display-text"] => {
                    if let Some(user) = info.users.last_mut() {
                        user.display_text = Some(text);
                    }
                }
                ["conference-info"] => self.closed = true,
                _ => {}
            }
        }
        self.path.pop();
    }

    fn finish(self) -> Result<ConferenceInfo, ConferenceInfoError> {
        if self.closed {
            self.info.ok_or(ConferenceInfoError::NotConferenceInfo)
        } else {
            Err(ConferenceInfoError::NotConferenceInfo)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::CONFERENCE_INFO_DEPTH_MAX;

    const DOCUMENT: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- x --><c:conference-info \
        xmlns:c='urn:ietf:params:xml:ns:conference-info' xmlns:x='urn:ietf:params:xml:ns:xcon-conference-info' \
        entity='sip:r@h' state='partial' version='12'><c:conference-description><c:subject>a &amp; <![CDATA[<b>]]>&#33;</c:subject>\
        <x:subject>no</x:subject></c:conference-description><c:conference-state><c:user-count> 2 </c:user-count></c:conference-state>\
        <c:users state='partial'><c:user entity='sip:bob@h' x:nickname='B &quot;b&quot;' nickname='no'>\
        <c:display-text>Bob</c:display-text><c:endpoint entity='1'><c:display-text>no</c:display-text></c:endpoint></c:user>\
        <c:user entity='sip:al@h' state='deleted'/></c:users></c:conference-info>";

    #[test]
    fn a_document_is_read_with_any_prefixes() {
        let info = ConferenceInfo::parse(DOCUMENT.as_bytes()).unwrap();
        assert_eq!((info.entity.as_str(), info.state, info.version), ("sip:r@h", State::Partial, Some(12)));
        assert_eq!((info.subject.as_deref(), info.user_count), (Some("a & <b>!"), Some(2)));
        assert_eq!(info.users_state, State::Partial);
        let user = |entity: &str, state, nickname: Option<&str>, name: Option<&str>| UserUpdate {
            entity: entity.into(),
            state,
            nickname: nickname.map(Into::into),
            display_text: name.map(Into::into),
        };
        let bob = user("sip:bob@h", State::Full, Some("B \"b\""), Some("Bob"));
        assert_eq!(info.users, [bob, user("sip:al@h", State::Deleted, None, None)]);
    }

    #[test]
    fn other_documents_are_errors_and_no_prefix_panics() {
        assert_eq!(ConferenceInfo::parse(b"\xff"), Err(ConferenceInfoError::Encoding));
        for other in ["", "<conference-info/>", "<a xmlns='urn:ietf:params:xml:ns:conference-info'/>", "text"] {
            assert_eq!(ConferenceInfo::parse(other.as_bytes()), Err(ConferenceInfoError::NotConferenceInfo), "{other}");
        }
        assert!(matches!(
            ConferenceInfo::parse(DOCUMENT.replace("</c:user>", "").as_bytes()),
            Err(ConferenceInfoError::Syntax(_))
        ));
        let (root, _) = DOCUMENT.split_once("<c:conference-d").unwrap();
        let deep = |depth: usize| {
            let inner = format!("{}{}", "<c:a>".repeat(depth - 1), "</c:a>".repeat(depth - 1));
            format!("{root}{inner}</c:conference-info>")
        };
        for max in [CONFERENCE_INFO_DEPTH_MAX, 3] {
            let limits = Limits { conference_info_depth_max: max, ..Limits::DEFAULT };
            assert!(ConferenceInfo::parse_with(deep(max).as_bytes(), &limits).is_ok(), "{max}");
            let deeper = ConferenceInfo::parse_with(deep(max + 1).as_bytes(), &limits);
            assert_eq!(deeper, Err(ConferenceInfoError::TooDeep), "{max}");
        }
        let deeper = ConferenceInfo::parse(deep(CONFERENCE_INFO_DEPTH_MAX + 1).as_bytes());
        assert_eq!(deeper, Err(ConferenceInfoError::TooDeep));
        for end in 0..DOCUMENT.len() {
            assert!(ConferenceInfo::parse(&DOCUMENT.as_bytes()[..end]).is_err(), "{end}");
        }
    }
}
