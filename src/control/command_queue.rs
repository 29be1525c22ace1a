//! Commands for one shard that its channel has no room for.
//!
//! Commands to a shard keep their order. A new session is refused while others wait; every other command waits, because it ends or
//! changes something that exists. The queue is bounded by [`COMMANDS_WAITING_MAX`]; a shard that lets more wait has failed.

use std::collections::VecDeque;

use async_channel::TrySendError;

use crate::facts::{Command, OpenSession};
use crate::limits::COMMANDS_WAITING_MAX;
use crate::shard::mesh::ShardHandle;

/// The commands for one shard.
pub struct CommandQueue {
    shard: ShardHandle,
    waiting: VecDeque<Command>,
    max: usize,
}

/// Why a command was not accepted.
#[derive(Debug)]
pub enum CommandRefused {
    /// The channel is full: the caller gets a 503.
    Session(Box<OpenSession>),
    /// [`COMMANDS_WAITING_MAX`] commands wait: the shard has failed.
    ShardFailed,
}

impl CommandQueue {
    /// An empty queue before the channel of a shard.
    pub fn new(shard: ShardHandle) -> Self {
        Self { shard, waiting: VecDeque::new(), max: COMMANDS_WAITING_MAX }
    }

    /// Whether commands wait for room in the channel.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Sends a command after those that wait.
    ///
    /// # Errors
    /// Returns an error if the channel is full and the command is a new session, or if too many commands wait.
    pub fn send(&mut self, command: Command) -> Result<(), CommandRefused> {
        self.flush();
        let command = if self.waiting.is_empty() {
            match self.shard.commands.try_send(command) {
                Err(TrySendError::Full(command)) => command,
                // The end of a closed shard is reported by its thread.
                Ok(()) | Err(TrySendError::Closed(_)) => return Ok(()),
            }
        } else {
            command
        };
        match command {
            Command::OpenSession(session) => Err(CommandRefused::Session(session)),
            _ if self.waiting.len() >= self.max => Err(CommandRefused::ShardFailed),
            command => {
                self.waiting.push_back(command);
                Ok(())
            }
        }
    }

    /// Sends what waits, as far as the channel has room.
    pub fn flush(&mut self) {
        while let Some(command) = self.waiting.pop_front() {
            if let Err(TrySendError::Full(command)) = self.shard.commands.try_send(command) {
                self.waiting.push_front(command);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{RoomId, ShardId};
    use crate::limits::COMMAND_QUEUE_MAX;
    use crate::shard::mesh::{self, ShardPort};

    fn close(room: u64) -> Command {
        Command::CloseRoom { room: RoomId(room) }
    }

    /// A queue before a full channel.
    fn full() -> (CommandQueue, ShardPort) {
        let (shard, port) = mesh::link(ShardId(0), 2855, mesh::events().0, None);
        let mut queue = CommandQueue::new(shard);
        for _ in 0..COMMAND_QUEUE_MAX {
            queue.send(close(0)).unwrap();
        }
        (queue, port)
    }

    #[test]
    fn commands_wait_in_order_for_room_in_the_channel() {
        let (mut queue, port) = full();
        assert!(!queue.is_waiting());
        for room in 1..=3 {
            queue.send(close(room)).unwrap();
        }
        assert!(queue.is_waiting());
        for _ in 0..COMMAND_QUEUE_MAX {
            port.commands.try_recv().unwrap();
        }
        queue.send(close(4)).unwrap();
        let sent = std::iter::from_fn(|| port.commands.try_recv().ok());
        let rooms: Vec<u64> = sent
            .map(|command| match command {
                Command::CloseRoom { room } => room.0,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(rooms, [1, 2, 3, 4]);
    }

    #[test]
    fn a_shard_that_takes_no_commands_has_failed() {
        let (mut queue, _port) = full();
        assert_eq!(queue.max, COMMANDS_WAITING_MAX);
        queue.max = 3;
        for room in 0..3 {
            queue.send(close(room)).unwrap();
        }
        assert!(matches!(queue.send(close(3)), Err(CommandRefused::ShardFailed)));
        assert_eq!(queue.waiting.len(), 3);
    }
}
