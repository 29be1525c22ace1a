//! Reading documents, as a subscriber does: what is not known is passed over.

use std::borrow::Cow;

use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;

use super::{NAMESPACE, State, XCON_NAMESPACE};
use crate::limits::CONFERENCE_INFO_DEPTH_MAX;

/// What a document tells of a conference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConferenceInfo {
    /// The conference.
    pub entity: String,
    /// How much of it the document tells.
    pub state: State,
    /// Its number in the subscription.
    pub version: Option<u32>,
    /// The subject, where the document has one.
    pub subject: Option<String>,
    /// How many users there are.
    pub user_count: Option<u32>,
    /// How much of the users the document tells.
    pub users_state: State,
    /// The users that it tells of.
    pub users: Vec<UserUpdate>,
}

/// What a document tells of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserUpdate {
    /// Who.
    pub entity: String,
    /// How much of it.
    pub state: State,
    /// The nickname.
    pub nickname: Option<String>,
    /// The display text.
    pub display_text: Option<String>,
}

/// Why a document cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConferenceInfoError {
    /// It is not UTF-8.
    #[error("the document is not UTF-8")]
    Encoding,
    /// It is not well-formed.
    #[error("the document is not well-formed: {0}")]
    Syntax(String),
    /// It tells of no conference.
    #[error("the document is no conference information")]
    Other,
}

impl ConferenceInfo {
    /// Reads a document.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn parse(document: &[u8]) -> Result<Self, ConferenceInfoError> {
        let text = std::str::from_utf8(document).map_err(|_| ConferenceInfoError::Encoding)?;
        let mut reader = NsReader::from_str(text);
        let mut gathering = Gathering::default();
        loop {
            let (namespace, event) =
                reader.read_resolved_event().map_err(|error| ConferenceInfoError::Syntax(error.to_string()))?;
            let ours = matches!(namespace, ResolveResult::Bound(Namespace(name)) if name == NAMESPACE.as_bytes());
            match event {
                Event::Start(start) => {
                    let attributes = Attributes::of(&reader, &start)?;
                    gathering.open(&start, ours, attributes)?;
                }
                Event::Empty(start) => {
                    let attributes = Attributes::of(&reader, &start)?;
                    gathering.open(&start, ours, attributes)?;
                    gathering.close();
                }
                Event::End(_) => gathering.close(),
                Event::Text(text) => gathering.text(&text.xml_content().map_err(|_| ConferenceInfoError::Encoding)?),
                Event::CData(data) => gathering.text(&data.decode().map_err(|_| ConferenceInfoError::Encoding)?),
                Event::GeneralRef(reference) => {
                    let name = reference.decode().map_err(|_| ConferenceInfoError::Encoding)?;
                    let resolved = quick_xml::escape::unescape(&format!("&{name};"))
                        .map(Cow::into_owned)
                        .map_err(|error| ConferenceInfoError::Syntax(error.to_string()))?;
                    gathering.text(&resolved);
                }
                Event::Eof => break,
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
        gathering.finish()
    }
}

/// The attributes that count.
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

/// A document on its way in.
#[derive(Debug, Default)]
struct Gathering {
    /// The elements that are open, by name; empty for one of another namespace.
    path: Vec<String>,
    text: String,
    info: Option<ConferenceInfo>,
    closed: bool,
}

impl Gathering {
    fn open(&mut self, start: &BytesStart<'_>, ours: bool, attributes: Attributes) -> Result<(), ConferenceInfoError> {
        if self.path.len() >= CONFERENCE_INFO_DEPTH_MAX || (self.path.is_empty() && self.info.is_some()) {
            return Err(ConferenceInfoError::Other);
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
            (_, None) => return Err(ConferenceInfoError::Other),
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
        if self.closed { self.info.ok_or(ConferenceInfoError::Other) } else { Err(ConferenceInfoError::Other) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- x --><c:conference-info \
        xmlns:c='urn:ietf:params:xml:ns:conference-info' xmlns:x='urn:ietf:params:xml:ns:xcon-conference-info' \
        entity='sip:r@h' state='partial' version='12'><c:conference-description><c:subject>a &amp; <![CDATA[<b>]]>&#33;</c:subject>\
        <x:subject>no</x:subject></c:conference-description><c:conference-state><c:user-count> 2 </c:user-count></c:conference-state>\
        <c:users state='partial'><c:user entity='sip:bob@h' x:nickname='B &quot;b&quot;' nickname='no'>\
        <c:display-text>Bob</c:display-text><c:endpoint entity='1'><c:display-text>no</c:display-text></c:endpoint></c:user>\
        <c:user entity='sip:al@h' state='deleted'/></c:users></c:conference-info>";

    #[test]
    fn a_document_is_read_whatever_its_prefixes() {
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
    fn what_is_no_document_says_so_and_nothing_panics() {
        assert_eq!(ConferenceInfo::parse(b"\xff"), Err(ConferenceInfoError::Encoding));
        for other in ["", "<conference-info/>", "<a xmlns='urn:ietf:params:xml:ns:conference-info'/>", "text"] {
            assert_eq!(ConferenceInfo::parse(other.as_bytes()), Err(ConferenceInfoError::Other), "{other}");
        }
        assert!(matches!(
            ConferenceInfo::parse(DOCUMENT.replace("</c:user>", "").as_bytes()),
            Err(ConferenceInfoError::Syntax(_))
        ));
        let (root, _) = DOCUMENT.split_once("<c:conference-d").unwrap();
        for (depth, is_read) in [(CONFERENCE_INFO_DEPTH_MAX, true), (CONFERENCE_INFO_DEPTH_MAX + 1, false)] {
            let inner = format!("{}{}", "<c:a>".repeat(depth - 1), "</c:a>".repeat(depth - 1));
            let deep = format!("{root}{inner}</c:conference-info>");
            assert_eq!(ConferenceInfo::parse(deep.as_bytes()).is_ok(), is_read, "{depth}");
        }
        for end in 0..DOCUMENT.len() {
            assert!(ConferenceInfo::parse(&DOCUMENT.as_bytes()[..end]).is_err(), "{end}");
        }
    }
}
