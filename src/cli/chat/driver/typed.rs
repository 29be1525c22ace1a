//! What is typed: lines, and the commands among them.

use std::path::Path as FilePath;
use std::time::{Instant, SystemTime};

use super::{Chat, OUTGOING_BYTES_MAX};
use crate::cli::chat::clock::rfc3339;
use crate::cli::chat::file::{Outgoing, media_type};
use crate::cli::chat::line::{HELP, Line};
use crate::cli::chat::screen::print_line;
use crate::cli::output::note;
use parlor_proto::cpim::Envelope;

impl Chat {
    pub(super) fn line(&mut self, line: Option<String>) {
        let now = Instant::now();
        let Some(line) = line else {
            self.ending = Some(now);
            return;
        };
        match Line::parse(&line) {
            Line::Empty => {}
            Line::Say(text) => self.say(&self.room.clone(), &text),
            Line::Whisper { who, text } => {
                self.note_people();
                self.say(&self.book.find(&who), &text);
            }
            Line::Nick(nick) => self.session.nickname(&nick, now),
            Line::Who => self.who(),
            Line::SendFile(path) => self.send_file(&path),
            Line::Quit => self.ending = Some(now),
            Line::Help => note(format_args!("{HELP}\n")),
            Line::Wrong(help) => self.screen.advise(&help),
        }
    }

    /// Whoever is in the roster can be found by name.
    fn note_people(&mut self) {
        if let Some(people) = self.call.roster().and_then(|watch| watch.people()) {
            for who in people {
                self.book.enter(&who.uri, who.nickname.as_deref().or(who.display_name.as_deref()));
            }
        }
    }

    fn say(&mut self, to: &str, text: &str) {
        let mut message = self.wrapper(to, "text/plain;charset=utf-8", None);
        message.extend_from_slice(text.as_bytes());
        self.session.message(&message, Instant::now());
    }

    fn wrapper(&self, to: &str, content_type: &str, disposition: Option<&str>) -> Vec<u8> {
        let datetime = rfc3339(SystemTime::now());
        let from_name = self.nick.as_deref();
        Envelope { from_name, from: &self.me, to, datetime: Some(&datetime), content_type, disposition }.encode()
    }

    fn who(&mut self) {
        if let Some(watch) = self.call.roster()
            && let Some(people) = watch.people()
        {
            let lines: Vec<String> = people.map(|who| who.line(watch.is_own(who))).collect();
            return lines.iter().for_each(|line| print_line(line));
        }
        print_line(&format!("{} (you)", self.nick.as_deref().unwrap_or(&self.me)));
        for (name, uri) in self.book.people() {
            print_line(&name.map_or_else(|| uri.to_owned(), |name| format!("{name} <{uri}>")));
        }
        // A script is to know it as well: this room gives no roster.
        note(format_args!("* these have said something since you came; others may be there as well\n"));
    }

    fn send_file(&mut self, path: &FilePath) {
        if self.file.is_some() {
            return self.screen.complain("one file at a time");
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().replace(['"', '\\'], "_");
        let disposition = format!("attachment; filename=\"{name}\"");
        let head = self.wrapper(&self.room, media_type(path), Some(&disposition));
        match Outgoing::open(path, head, &mut self.session, self.screen.draws) {
            Ok(file) => self.file = Some(file),
            Err(error) => self.screen.complain(&format!("{} cannot be sent: {error}", path.display())),
        }
    }

    pub(super) fn send_file_chunks(&mut self) {
        let now = Instant::now();
        let Some(mut file) = self.file.take() else { return };
        while file.wants_to_send() && self.session.outgoing.len() < OUTGOING_BYTES_MAX {
            if let Err(error) = file.send_chunk(&mut self.session, now) {
                file.abandon(&mut self.session, now);
                return self.screen.complain(&format!("{} was not sent: {error}", file.name));
            }
        }
        self.file = Some(file);
    }
}
