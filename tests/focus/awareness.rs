//! Who knows chat rooms, when it is we who call (RFC 7701 §8).

use parlor::facts::{Command, Terms};
use parlor_proto::sip::Method;

use crate::world::{Peer, World, offer};

/// What is in force with somebody whom we have called, and who has answered with these rows.
fn terms_of_called(rows: &str, attribute: &str) -> Terms {
    let mut world = World::with_policy(|policy| policy.moderators = vec!["creator".into()]);
    let mut ann = world.join("ann", "lobby");
    world.forget();
    ann.extra = "Refer-To: <sip:carol@192.0.2.9:5099>\r\nRefer-Sub: false\r\n".into();
    ann.send(&mut world, "REFER", "");
    let invite = world.requests_of(Method::Invite).remove(0);
    let answer = offer("msrp://192.0.2.77:7/c;tcp").replace("a=chatroom:nickname private-messages\r\n", attribute);
    let rows = format!("Contact: <sip:carol@192.0.2.9:5099>\r\n{rows}");
    Peer::new("carol", "lobby").respond_to(&mut world, &invite, 200, &rows, &answer);
    let changed = world.commands.iter().find_map(|(_, command)| match command {
        Command::ChangeSession { terms, .. } => Some((**terms).clone()),
        _ => None,
    });
    changed.expect("the answer is in force")
}

#[test]
fn awareness_of_an_invited_client_is_as_of_a_caller() {
    for (rows, attribute, private) in [
        ("Server: sipsimple 5.5.0\r\n", "", Some(true)),
        ("User-Agent: Blink Pro 5\r\n", "", Some(true)),
        ("Server: other\r\n", "", None),
        ("", "", None),
        ("Server: sipsimple 5.5.0\r\n", "a=chatroom:nickname\r\n", Some(false)),
        ("Server: other\r\n", "a=chatroom:private-messages\r\n", Some(true)),
    ] {
        let tokens = terms_of_called(rows, attribute).chatroom;
        assert_eq!(tokens.map(|tokens| tokens.private_messages), private, "{rows}{attribute}");
    }
}
