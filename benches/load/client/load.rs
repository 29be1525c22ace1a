//! What is sent by whom to whom, and the connections that it takes.

use std::ops::Range;
use std::time::Duration;

use crate::client::stream::Stream;
use crate::client::wire::{Endpoint, Member, Script};

/// What is said by whom to whom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Rooms, all alike.
    pub rooms: usize,
    /// Members of each that are only sent to.
    pub receivers: usize,
    /// Members of each that send; each gets what the others of the room send.
    pub senders: usize,
    /// Whether a message goes to one member only: the sender after the one that sends it.
    pub privately: bool,
    /// Octets of text.
    pub size: usize,
    /// Whether MSRP goes over TLS.
    pub tls: bool,
    /// How long the server stands still in the middle of each turn.
    pub freeze: Option<Duration>,
}

/// Senders have four digits on the wire.
const SENDERS_MAX: usize = 10_000;

impl Load {
    /// Says what is wrong with a load that cannot be.
    ///
    /// # Errors
    /// Returns what is wrong with the arguments, in words.
    pub fn check(&self) -> Result<(), String> {
        if self.rooms.saturating_mul(self.senders) > SENDERS_MAX {
            return Err(format!("{SENDERS_MAX} senders at most"));
        }
        if self.senders == 0 || self.receivers + self.senders < 2 {
            return Err("a room needs at least one sender and one receiver".into());
        }
        Ok(())
    }

    /// Connections of all rooms.
    #[must_use]
    pub fn members(&self) -> usize {
        self.rooms.saturating_mul(self.receivers + self.senders)
    }

    /// Members that one message goes to.
    #[must_use]
    pub fn recipients(&self) -> usize {
        if self.privately { 1 } else { self.receivers + self.senders - 1 }
    }

    /// The room of a connection.
    #[must_use]
    pub fn room_of(&self, member: usize) -> usize {
        member / (self.receivers + self.senders)
    }

    /// The senders whose copies the member at `seat` of a room gets.
    fn senders_for(&self, room: usize, seat: usize) -> Range<usize> {
        let first = room * self.senders;
        match seat.checked_sub(self.receivers) {
            Some(sender) if self.privately => {
                let before = first + (sender + self.senders - 1) % self.senders;
                before..before + 1
            }
            _ => first..first + self.senders,
        }
    }

    /// Seats for connections: of each room the receivers, then the senders. `script` is told the sender's place and that of
    /// the sender after it in the same room.
    pub fn seats<T>(
        &self,
        members: Vec<T>,
        stream: impl Fn(T) -> Stream,
        script: impl Fn(&T, &T) -> Script,
    ) -> Vec<Endpoint> {
        let width = self.receivers + self.senders;
        let scripts: Vec<Option<Script>> = (0..members.len())
            .map(|at| {
                let (room, sender) = (at / width, (at % width).checked_sub(self.receivers)?);
                let next = room * width + self.receivers + (sender + 1) % self.senders;
                Some(script(&members[at], &members[next]))
            })
            .collect();
        let seat = |(at, (member, script)): (usize, (T, Option<Script>))| {
            let senders = self.senders_for(at / width, at % width);
            match script {
                Some(script) => Endpoint::sender(stream(member), senders, script, self.recipients()),
                None => Endpoint::receiver(stream(member), senders),
            }
        };
        members.into_iter().zip(scripts).enumerate().map(seat).collect()
    }

    /// Members' seats in their rooms.
    #[must_use]
    pub fn endpoints_of(&self, members: Vec<Member>) -> Vec<Endpoint> {
        let script = |member: &Member, next: &Member| match self.privately {
            true => Script::to(member, &next.from, self.size),
            false => Script::to_room(member, self.size),
        };
        self.seats(members, |member| member.stream, script)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(rooms: usize, receivers: usize, senders: usize, privately: bool) -> Load {
        Load { rooms, receivers, senders, privately, size: 10, tls: false, freeze: None }
    }

    #[test]
    fn members_hear_their_own_room() {
        let load = load(3, 2, 2, false);
        assert_eq!((load.members(), load.recipients()), (12, 3));
        assert_eq!((load.room_of(3), load.room_of(4)), (0, 1));
        assert_eq!((load.senders_for(0, 0), load.senders_for(1, 3)), (0..2, 2..4));
    }

    #[test]
    fn privately_each_hears_the_one_before() {
        let load = load(2, 0, 3, true);
        assert_eq!(load.recipients(), 1);
        let message: Vec<_> = (0..2).flat_map(|room| (0..3).map(move |seat| (room, seat))).collect();
        let message: Vec<_> = message.into_iter().map(|(room, seat)| load.senders_for(room, seat).start).collect();
        assert_eq!(message, [2, 0, 1, 5, 3, 4]);
    }
}
