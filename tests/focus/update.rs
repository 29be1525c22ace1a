use parlor::facts::{ChatroomTokens, Command};
use parlor_proto::sip::HeaderName;

use crate::world::{Peer, World, body, header, offer};

#[test]
fn a_new_path_new_types_and_new_tokens_are_in_force() {
    let mut world = World::new();
    let mut ann = world.join("ann", "lobby");
    let first = body(world.last_response());
    world.forget();
    let moved = offer("msrp://192.0.2.99:7/moved;tcp").replace("nickname private-messages", "nickname")
        + "a=accept-wrapped-types:text/plain\r\n";
    ann.send(&mut world, "UPDATE", &moved);
    let [(_, Command::ChangeSession { terms, .. })] = &world.commands[..] else {
        panic!("{:?}", world.command_names())
    };
    assert_eq!(terms.remote.as_str(), "msrp://192.0.2.99:7/moved;tcp");
    assert_eq!(terms.chatroom, Some(ChatroomTokens { nickname: true, private_messages: false }));
    assert!(!terms.accept_wrapped_types.as_ref().unwrap().accepts("text/html"));
    assert_eq!(world.statuses(), [200]);
    let path = |text: &str| text.lines().find(|line| line.starts_with("a=path:")).unwrap().to_owned();
    assert_eq!(path(&body(world.last_response())), path(&first), "our own path stays");
    world.advance(std::time::Duration::from_secs(40));
    assert_eq!((world.statuses().len(), world.focus.counts().calls), (1, 1), "there is no ACK to wait for");
}

#[test]
fn without_an_offer_it_moves_the_target_only() {
    let mut world = World::new();
    let mut ann = world.join("ann", "lobby");
    world.forget();
    let update = ann.request("UPDATE", "").replace("Contact: <sip:ann@192.0.2.77", "Contact: <sip:ann@192.0.2.88");
    world.deliver(&update, ann.hop());
    assert_eq!((world.statuses(), world.command_names()), (vec![200], vec![]));
    assert_eq!(body(world.last_response()), "");
    assert!(header(world.last_response(), HeaderName::Contact).contains("isfocus"));
    world.focus.drain(world.now);
    world.settle();
    assert_eq!(world.requests().pop().unwrap().0.remote.ip().to_string(), "192.0.2.88");
}

#[test]
fn what_cannot_be_taken_leaves_the_call_as_it_was() {
    let mut world = World::new();
    let mut ann = world.join("ann", "lobby");
    world.forget();
    let bad = ann.offer().replace("message/cpim", "text/html");
    ann.send(&mut world, "UPDATE", &bad);
    assert_eq!((world.last_status(), world.command_names(), world.focus.counts().calls), (488, vec![], 1));
}

#[test]
fn an_offer_while_ours_has_no_answer_is_491() {
    let mut world = World::new();
    let mut ann = Peer::new("ann", "lobby");
    ann.send(&mut world, "INVITE", "");
    ann.learn(&world);
    let offer = ann.offer();
    let acknowledging = ann.clone();
    ann.send(&mut world, "UPDATE", &offer);
    assert_eq!(world.last_status(), 491);
    ann.send(&mut world, "UPDATE", "");
    assert_eq!(world.last_status(), 200, "what offers nothing meets nothing");
    let mut first = acknowledging;
    first.branch = 100;
    first.send(&mut world, "ACK", &offer);
    ann.send(&mut world, "UPDATE", &offer);
    assert_eq!(world.last_status(), 200);
}

#[test]
fn outside_of_a_call_there_is_nothing_to_change() {
    let mut world = World::new();
    let mut ann = Peer::new("ann", "lobby");
    let offer = ann.offer();
    ann.send(&mut world, "UPDATE", &offer);
    assert_eq!(world.last_status(), 481);
}

#[test]
fn update_is_told_of() {
    let mut world = World::new();
    world.join("ann", "lobby");
    assert!(header(world.last_response(), HeaderName::Allow).contains("UPDATE"));
}
