//! The rules of the schema of conference documents (RFC 4575 §6) that ours could break: which elements stand in which, in which
//! order and how often, which attributes they must have, what their texts may be, and that no child of what is full is less.

use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;

const CONFERENCE: &[u8] = b"urn:ietf:params:xml:ns:conference-info";
const XCON: &[u8] = b"urn:ietf:params:xml:ns:xcon-conference-info";

/// The children of each element, in order. A star stands behind those that may come several times.
const CHILDREN: &[(&str, &[&str])] = &[
    ("", &["conference-info"]),
    (
        "conference-info",
        &["conference-description", "host-info", "conference-state", "users", "sidebars-by-ref", "sidebars-by-val"],
    ),
    (
        "conference-description",
        &[
            "display-text",
            "subject",
            "free-text",
            "keywords",
            "conf-uris",
            "service-uris",
            "maximum-user-count",
            "available-media",
        ],
    ),
    ("conf-uris", &["entry*"]),
    ("conference-state", &["user-count", "active", "locked"]),
    ("users", &["user*"]),
    ("user", &["display-text", "associated-aors", "roles", "languages", "cascaded-focus", "endpoint*"]),
    ("roles", &["entry*"]),
    (
        "endpoint",
        &[
            "display-text",
            "referred",
            "status",
            "joining-method",
            "joining-info",
            "disconnection-method",
            "disconnection-info",
            "media*",
            "call-info",
        ],
    ),
    ("joining-info", &["when", "reason", "by"]),
    ("media", &["display-text", "type", "label", "src-id", "status"]),
    // Of a URI in conf-uris; a role's entry has text only.
    ("entry", &["uri", "display-text", "purpose", "modified"]),
];

const REQUIRED: &[(&str, &[&str])] = &[
    ("conference-info", &["entity", "version"]),
    ("user", &["entity"]),
    ("endpoint", &["entity"]),
    ("media", &["id"]),
];

const VALUES: &[(&str, &str, &[&str])] = &[
    ("endpoint", "status", &["connected", "on-hold", "muted-via-focus", "pending", "disconnecting", "disconnected"]),
    ("endpoint", "joining-method", &["dialed-in", "dialed-out", "focus-owner"]),
    ("media", "status", &["sendrecv", "sendonly", "recvonly", "inactive"]),
    ("media", "type", &["message"]),
    ("conference-state", "active", &["true", "false"]),
];

struct Open {
    name: String,
    state: String,
    /// How far its children have come in their order.
    place: usize,
    text: String,
}

/// Panics where a document is not as the schema has it.
pub fn check(document: &str) {
    let mut reader = NsReader::from_str(document);
    let mut open = vec![Open { name: String::new(), state: "full".into(), place: 0, text: String::new() }];
    loop {
        let (namespace, event) = reader.read_resolved_event().unwrap_or_else(|error| panic!("{error} in {document}"));
        let ours = namespace == ResolveResult::Bound(Namespace(CONFERENCE));
        match event {
            Event::Start(start) => {
                assert!(ours, "an element of another namespace in {document}");
                begin(&mut open, &start, &reader);
            }
            Event::Empty(start) => {
                assert!(ours, "an element of another namespace in {document}");
                begin(&mut open, &start, &reader);
                end(&mut open);
            }
            Event::End(_) => end(&mut open),
            Event::Text(text) => open.last_mut().unwrap().text.push_str(&text.decode().unwrap()),
            Event::GeneralRef(_) => open.last_mut().unwrap().text.push('&'),
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!((open.len(), open[0].place), (1, 1), "one root in {document}");
}

fn begin(open: &mut Vec<Open>, start: &BytesStart<'_>, reader: &NsReader<&[u8]>) {
    let name = String::from_utf8(start.local_name().as_ref().to_vec()).unwrap();
    let parent = open.last_mut().unwrap();
    let order = CHILDREN.iter().find(|(of, _)| *of == parent.name).map_or(&[][..], |(_, children)| children);
    let place = order.iter().position(|child| child.trim_end_matches('*') == name);
    let place = place.unwrap_or_else(|| panic!("{name} in {}", parent.name));
    let repeats = order[place].ends_with('*');
    assert!(place >= parent.place, "{name} in {} comes too late or again", parent.name);
    parent.place = if repeats { place } else { place + 1 };

    let mut attributes = Vec::new();
    let mut state = parent.state.clone();
    for attribute in start.attributes() {
        let attribute = attribute.unwrap();
        if attribute.key.as_namespace_binding().is_some() {
            continue;
        }
        let (namespace, key) = reader.resolve_attribute(attribute.key);
        let key = String::from_utf8(key.as_ref().to_vec()).unwrap();
        match namespace {
            ResolveResult::Bound(Namespace(uri)) => {
                assert_eq!((uri, key.as_str(), name.as_str()), (XCON, "nickname", "user"))
            }
            _ if key == "state" => state = attribute.unescape_value().unwrap().into_owned(),
            _ => attributes.push(key),
        }
    }
    if ["conference-info", "users", "user", "endpoint"].contains(&name.as_str()) {
        assert!(["full", "partial", "deleted"].contains(&state.as_str()), "{state}");
        assert!(
            parent.state != "full" || parent.name.is_empty() || state == "full",
            "{name} is {state} in what is full"
        );
    }
    assert_ne!(parent.state, "deleted", "{name} in what is deleted");
    let required = REQUIRED.iter().find(|(of, _)| *of == name).map_or(&[][..], |(_, required)| required);
    assert!(required.iter().all(|key| attributes.iter().any(|k| k == key)), "{name} has {attributes:?}");
    open.push(Open { name, state, place: 0, text: String::new() });
}

fn end(open: &mut Vec<Open>) {
    let closed = open.pop().unwrap();
    let parent = open.last().unwrap();
    for (of, name, values) in VALUES {
        if (*of, *name) == (parent.name.as_str(), closed.name.as_str()) {
            assert!(values.contains(&closed.text.as_str()), "{name} of {of} is {}", closed.text);
        }
    }
    if closed.name == "user-count" {
        closed.text.parse::<u32>().unwrap();
    }
    if closed.name == "when" {
        assert!(closed.text.len() == 20 && closed.text.ends_with('Z'), "{}", closed.text);
    }
}
