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
fn so_many_events_wait_for_the_control_thread_and_the_rest_with_the_switch() {
    let (sender, mut receiver) = events();
    let mut upward = Upward::new(ShardId(0), sender);
    let mut told = 0;
    let mut next = |max: usize| {
        (told < max).then(|| {
            told += 1;
            let session = SessionId { shard: ShardId(0), random: told as u128 };
            Event::SessionEnded { session, why: EndReason::ConnectionLost }
        })
    };
    assert!(upward.tell(|| next(EVENT_QUEUE_MAX)));
    assert!(!upward.tell(|| next(EVENT_QUEUE_MAX + 2)), "one that does not fit is kept");
    let mut heard = 0;
    while receiver.try_recv().is_ok() {
        heard += 1;
    }
    assert_eq!(heard, EVENT_QUEUE_MAX);
    assert!(upward.tell(|| next(EVENT_QUEUE_MAX + 2)));
    assert!(receiver.try_recv().is_ok() && receiver.try_recv().is_ok() && receiver.try_recv().is_err(), "none is lost");
}
