//! Writing documents, in the order of the schema (RFC 4575 §6).

use std::fmt::Write;

use super::escape::escaped;
use super::{NAMESPACE, XCON_NAMESPACE};

/// How much of an element a document describes (RFC 4575 §4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// All of it.
    Full,
    /// What has changed since the last document.
    Partial,
    /// Nothing: the element no longer exists.
    Deleted,
}

impl State {
    /// The value of the attribute.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Partial => "partial",
            Self::Deleted => "deleted",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Full, Self::Partial, Self::Deleted].into_iter().find(|state| state.as_str() == text)
    }
}

/// The description of a conference (RFC 4575 §5.3).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Description {
    /// A name for lists.
    pub display_text: Option<String>,
    /// The subject.
    pub subject: Option<String>,
    /// URIs to join the conference.
    pub uris: Vec<String>,
    /// The maximum number of users, if there is one.
    pub maximum_user_count: Option<u32>,
}

/// One participant (RFC 4575 §5.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User<'a> {
    /// The URI, which is the key.
    pub entity: &'a str,
    /// The nickname (RFC 6501 §4.6.5, RFC 7701 §7.4).
    pub nickname: Option<&'a str>,
    /// A name for lists.
    pub display_text: Option<&'a str>,
    /// The roles of the participant.
    pub roles: &'a [&'a str],
    /// The sessions of the participant.
    pub endpoints: Vec<Endpoint<'a>>,
}

/// One session of a participant (RFC 4575 §5.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint<'a> {
    /// The key among the endpoints of the user.
    pub entity: &'a str,
    /// How the session joined.
    pub joining_method: JoiningMethod,
    /// When the session joined, in the format of RFC 3339: see [`crate::datetime::rfc3339`].
    pub joined_at: Option<&'a str>,
    /// The URI of the participant who invited it, if any.
    pub brought_by: Option<&'a str>,
    /// The directions of messages, from the point of view of the participant.
    pub media: MediaStatus,
}

/// How an endpoint joined (RFC 4575 §5.7.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoiningMethod {
    /// It called the conference.
    DialedIn,
    /// The conference called it.
    DialedOut,
}

/// The directions of messages (RFC 4575 §5.8.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaStatus {
    /// Both directions.
    SendRecv,
    /// Only from the participant.
    SendOnly,
    /// Only to the participant.
    RecvOnly,
    /// Neither direction.
    Inactive,
}

/// Writes the beginning of a document. `entity` is the URI of the conference.
pub fn write_head(out: &mut String, entity: &str, state: State, version: u32) {
    let _ = write!(
        out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<conference-info xmlns=\"{NAMESPACE}\" xmlns:xcon=\"{XCON_NAMESPACE}\" \
         entity=\"{}\" state=\"{}\" version=\"{version}\">",
        escaped(entity),
        state.as_str()
    );
}

/// Writes the end of a document.
pub fn write_tail(out: &mut String) {
    out.push_str("</conference-info>\r\n");
}

/// Writes the description of the conference (RFC 4575 §5.3).
pub fn write_description(out: &mut String, description: &Description) {
    out.push_str("<conference-description>");
    element(out, "display-text", description.display_text.as_deref());
    element(out, "subject", description.subject.as_deref());
    if !description.uris.is_empty() {
        out.push_str("<conf-uris>");
        for uri in &description.uris {
            let _ = write!(out, "<entry><uri>{}</uri><purpose>participation</purpose></entry>", escaped(uri));
        }
        out.push_str("</conf-uris>");
    }
    if let Some(count) = description.maximum_user_count {
        let _ = write!(out, "<maximum-user-count>{count}</maximum-user-count>");
    }
    out.push_str("</conference-description>");
}

/// Writes the state of the conference (RFC 4575 §5.5).
pub fn write_conference_state(out: &mut String, user_count: usize, active: bool) {
    let _ = write!(
        out,
        "<conference-state><user-count>{user_count}</user-count><active>{active}</active></conference-state>"
    );
}

/// Writes the list of users. `users` is what [`write_user`] and [`write_deleted_user`] wrote; in a full document use [`State::Full`] and
/// no deleted users (RFC 4575 §4.4).
pub fn write_users(out: &mut String, state: State, users: &str) {
    let _ = write!(out, "<users state=\"{}\">{users}</users>", state.as_str());
}

/// Writes one participant completely.
pub fn write_user(out: &mut String, user: &User<'_>) {
    let _ = write!(out, "<user entity=\"{}\" state=\"full\"", escaped(user.entity));
    if let Some(nickname) = user.nickname {
        let _ = write!(out, " xcon:nickname=\"{}\"", escaped(nickname));
    }
    out.push('>');
    element(out, "display-text", user.display_text);
    if !user.roles.is_empty() {
        out.push_str("<roles>");
        user.roles.iter().for_each(|role| element(out, "entry", Some(role)));
        out.push_str("</roles>");
    }
    user.endpoints.iter().for_each(|endpoint| write_endpoint(out, endpoint));
    out.push_str("</user>");
}

/// Writes that a participant has left. A deleted element has no children (RFC 4575 §4.4).
pub fn write_deleted_user(out: &mut String, entity: &str) {
    let _ = write!(out, "<user entity=\"{}\" state=\"deleted\"/>", escaped(entity));
}

fn write_endpoint(out: &mut String, endpoint: &Endpoint<'_>) {
    let method = match endpoint.joining_method {
        JoiningMethod::DialedIn => "dialed-in",
        JoiningMethod::DialedOut => "dialed-out",
    };
    let _ = write!(
        out,
        "<endpoint entity=\"{}\" state=\"full\"><status>connected</status><joining-method>{method}</joining-method>",
        escaped(endpoint.entity)
    );
    if endpoint.joined_at.is_some() || endpoint.brought_by.is_some() {
        out.push_str("<joining-info>");
        element(out, "when", endpoint.joined_at);
        element(out, "by", endpoint.brought_by);
        out.push_str("</joining-info>");
    }
    let status = match endpoint.media {
        MediaStatus::SendRecv => "sendrecv",
        MediaStatus::SendOnly => "sendonly",
        MediaStatus::RecvOnly => "recvonly",
        MediaStatus::Inactive => "inactive",
    };
    let _ = write!(out, "<media id=\"1\"><type>message</type><status>{status}</status></media></endpoint>");
}

fn element(out: &mut String, name: &str, text: Option<&str>) {
    if let Some(text) = text {
        let _ = write!(out, "<{name}>{}</{name}>", escaped(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_in_the_order_of_the_schema() {
        let mut users = String::new();
        let endpoint = Endpoint {
            entity: "sip:bob@example.com;endpoint=1",
            joining_method: JoiningMethod::DialedOut,
            joined_at: Some("2026-01-02T03:04:05Z"),
            brought_by: Some("sip:mike@example.com"),
            media: MediaStatus::RecvOnly,
        };
        let user = User {
            entity: "sip:bob@example.com",
            nickname: Some("Dopey \"D\""),
            display_text: Some("Bob <Hoskins>"),
            roles: &["participant"],
            endpoints: vec![endpoint],
        };
        write_user(&mut users, &user);
        write_deleted_user(&mut users, "sip:al&ice@example.com");
        let description = Description {
            display_text: Some("Lobby".into()),
            subject: Some("Goals".into()),
            uris: vec!["sip:lobby@example.com".into()],
            maximum_user_count: Some(9),
        };
        let mut out = String::new();
        write_head(&mut out, "sip:lobby@example.com", State::Partial, 7);
        write_description(&mut out, &description);
        write_conference_state(&mut out, 1, true);
        write_users(&mut out, State::Partial, &users);
        write_tail(&mut out);
        assert_eq!(
            out,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n\
             <conference-info xmlns=\"urn:ietf:params:xml:ns:conference-info\" \
             xmlns:xcon=\"urn:ietf:params:xml:ns:xcon-conference-info\" entity=\"sip:lobby@example.com\" state=\"partial\" \
             version=\"7\"><conference-description><display-text>Lobby</display-text><subject>Goals</subject><conf-uris><entry>\
             <uri>sip:lobby@example.com</uri><purpose>participation</purpose></entry></conf-uris>\
             <maximum-user-count>9</maximum-user-count></conference-description>\
             <conference-state><user-count>1</user-count><active>true</active></conference-state><users state=\"partial\">\
             <user entity=\"sip:bob@example.com\" state=\"full\" xcon:nickname=\"Dopey &quot;D&quot;\">\
             <display-text>Bob &lt;Hoskins&gt;</display-text><roles><entry>participant</entry></roles>\
             <endpoint entity=\"sip:bob@example.com;endpoint=1\" state=\"full\"><status>connected</status>\
             <joining-method>dialed-out</joining-method><joining-info><when>2026-01-02T03:04:05Z</when>\
             <by>sip:mike@example.com</by></joining-info><media id=\"1\"><type>message</type><status>recvonly</status></media>\
             </endpoint></user><user entity=\"sip:al&amp;ice@example.com\" state=\"deleted\"/></users></conference-info>\r\n"
        );
    }
}
