//! What arrives: messages, answers, news of the call and of the roster.

use std::io;
use std::time::Instant;

use super::Chat;
use crate::cli::chat::call::CallNews;
use crate::cli::chat::file::Stage;
use crate::cli::chat::inbox::Received;
use crate::cli::chat::screen::reason;
use crate::cli::chat::session::{News, Refusal, Sent};
use crate::cli::chat::watch::RosterNews;
use parlor_proto::sip::Message;
use parlor_proto::uri::Aor;

/// RFC 7701 §7.3: the nickname is another's, or was so a moment ago.
const RESERVED: u16 = 425;

impl Chat {
    pub(super) fn called(&mut self, messages: io::Result<Vec<Message>>) {
        match messages {
            Ok(messages) => {
                for message in messages {
                    let news = self.call.handle(message, Instant::now());
                    self.call_news(news);
                }
            }
            Err(error) => {
                self.gone = true;
                self.screen.complain(&format!("the call is lost: {error}"));
            }
        }
    }

    pub(super) fn call_news(&mut self, news: Option<CallNews>) {
        self.roster_news();
        if let Some(CallNews::Ended(why)) = news {
            self.gone = true;
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            self.screen.complain(&format!("the room has ended the call{why}"));
        }
    }

    /// Tells who has come, left or changed its name, and remembers it.
    fn roster_news(&mut self) {
        let Some(watch) = self.call.roster() else { return };
        for news in watch.take_news() {
            let (who, what) = match news {
                RosterNews::Joined(who) => (who.mention(), "has joined".to_owned()),
                RosterNews::Left(who) => (who.mention(), "has left".to_owned()),
                RosterNews::Renamed(before, who) => (before, format!("is {} now", who.mention())),
            };
            self.screen.note(&format!("{who} {what}"));
        }
    }

    pub(super) fn received(&mut self, read: io::Result<&[u8]>) {
        let lost = match read {
            Ok([]) => "the room has closed the connection".to_owned(),
            Ok(octets) => match self.session.handle_bytes(octets) {
                Ok(all) => {
                    self.last_arrival = Instant::now();
                    return all.into_iter().for_each(|news| self.news(news));
                }
                Err(error) => format!("the room sends what is not MSRP: {error}"),
            },
            Err(error) => format!("the connection is lost: {error}"),
        };
        self.lose(lost);
    }

    pub(super) fn wrote(&mut self, wrote: io::Result<usize>) {
        match wrote {
            Ok(len) => drop(self.session.outgoing.drain(..len)),
            Err(error) => self.lose(format!("the connection is lost: {error}")),
        }
    }

    pub(super) fn news(&mut self, news: News) {
        self.settled_in |= self.session.unanswered() == 0;
        match news {
            News::Received(received) => self.show(&received),
            News::Answered(Sent::FileChunk(octets), outcome) => self.file_answered(octets, outcome),
            News::Answered(Sent::Nickname(nick), Ok(())) => {
                self.screen.note(&if nick.is_empty() {
                    "no nickname any more".into()
                } else {
                    format!("you are {nick}")
                });
                self.nick = (!nick.is_empty()).then_some(nick);
            }
            News::Answered(Sent::Nickname(nick), Err(refusal)) => self.nickname_refused(&nick, &refusal),
            News::Answered(Sent::Message, Err(refusal)) => {
                self.screen.complain(&format!("a message was not delivered: {}", reason(&refusal)));
            }
            News::Answered(Sent::Binding, Err(refusal)) => {
                self.gone = true;
                self.screen.complain(&format!("the room does not know this session: {}", reason(&refusal)));
            }
            News::Answered(Sent::Message | Sent::Binding, Ok(())) => {}
        }
    }

    /// A guest goes on without it: the nickname may be in quarantine for the guest that this was a minute ago (RFC 7701 §7.1).
    fn nickname_refused(&mut self, nick: &str, refusal: &Refusal) {
        let why = format!("the nickname {nick} is refused: {}", reason(refusal));
        match refusal {
            Refusal::Status(RESERVED, _) if self.guest => {
                self.screen.warn(&format!("{why}; going on without it. With --as it can be kept from run to run"));
            }
            _ => self.screen.complain(&why),
        }
    }

    fn show(&mut self, received: &Received) {
        let to = Aor::parse(received.to.as_bytes()).ok();
        let private = to != self.room_aor && to == Aor::parse(self.me.as_bytes()).ok();
        self.book.enter(&received.from, received.name.as_deref());
        self.screen.message(received, private);
    }

    fn file_answered(&mut self, octets: u64, outcome: Result<(), Refusal>) {
        // Answers to chunks of a file that was given up mean nothing any more.
        let Some(mut file) = self.file.take() else { return };
        match outcome {
            Ok(()) if file.answered(octets) == Stage::Done => self.screen.note(&format!("{} was sent", file.name)),
            Ok(()) => self.file = Some(file),
            Err(refusal) => {
                file.abandon(&mut self.session, Instant::now());
                self.screen.complain(&format!("{} was not delivered: {}", file.name, reason(&refusal)));
            }
        }
    }
}
