//! The limits of the channels, each reached.

use super::*;
use crate::facts::EndReason;
use crate::ids::{RoomId, SessionId};

#[test]
fn so_many_commands_wait_for_a_shard() {
    let (handle, port) = link(ShardId(0), 2855, events().0, None);
    let command = || Command::CloseRoom { room: RoomId(1) };
    for _ in 0..COMMAND_QUEUE_MAX {
        assert!(handle.commands.try_send(command()).is_ok());
    }
    assert!(matches!(handle.commands.try_send(command()), Err(TrySendError::Full(_))), "and nobody waits");
    assert!(port.commands.try_recv().is_ok() && handle.commands.try_send(command()).is_ok());
}

#[test]
fn so_many_events_wait_for_the_control_thread_and_the_rest_with_the_shard() {
    let (sender, mut receiver) = events();
    let mut upward = Upward::new(ShardId(0), sender);
    let session = |n: usize| SessionId { shard: ShardId(0), random: n as u128 };
    let ended = |n: usize| Event::SessionEnded { session: session(n), why: EndReason::ConnectionLost };
    (0..EVENT_QUEUE_MAX).for_each(|n| upward.send(ended(n)));
    assert!(upward.flush(), "they fit");
    (EVENT_QUEUE_MAX..EVENT_QUEUE_MAX + 3).for_each(|n| upward.send(ended(n)));
    assert!(!upward.flush(), "what does not fit is kept");
    for n in 0..EVENT_QUEUE_MAX {
        assert_eq!(receiver.try_recv().unwrap(), (ShardId(0), ended(n)));
    }
    upward.send(ended(EVENT_QUEUE_MAX + 3));
    assert!(receiver.try_recv().is_err(), "nothing overtakes what waits");
    assert!(upward.flush());
    for n in EVENT_QUEUE_MAX..EVENT_QUEUE_MAX + 4 {
        assert_eq!(receiver.try_recv().unwrap(), (ShardId(0), ended(n)), "in order");
    }
    assert!(receiver.try_recv().is_err());
}

#[test]
fn of_the_nicknames_of_a_session_that_wait_only_the_latest_is_sent() {
    let (sender, mut receiver) = mpsc::channel(1);
    let mut upward = Upward::new(ShardId(0), sender);
    let session = |n: u128| SessionId { shard: ShardId(0), random: n };
    let nickname = |n, name: &str| Event::Nickname { session: session(n), nickname: Some(name.into()) };
    let bound = || Event::SessionBound { session: session(9) };
    for event in [bound(), nickname(1, "a"), bound(), nickname(2, "b"), nickname(1, "c"), nickname(1, "d")] {
        upward.send(event);
    }
    let mut sent = Vec::new();
    while let Ok((_, event)) = receiver.try_recv() {
        sent.push(event);
        upward.flush();
        if sent.len() == 2 {
            // Its place is the channel's now, so this is another one.
            upward.send(nickname(1, "e"));
        }
    }
    assert_eq!(sent, [bound(), nickname(1, "d"), bound(), nickname(2, "b"), nickname(1, "e")]);
    assert!(upward.flush() && upward.backlog.nicknames.is_empty());
}
