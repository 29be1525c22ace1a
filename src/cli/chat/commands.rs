//! Carrying out lines of input: messages and commands.

use std::path::Path as FilePath;
use std::time::{Instant, SystemTime};

use super::clock::rfc3339;
use super::file::{OutgoingFile, media_type};
use super::line::{HELP, Line};
use super::participant::{OUTGOING_BYTES_MAX, Participant};
use super::terminal::print_line;
use crate::cli::output::note;
use parlor_proto::cpim::Envelope;

impl Participant {
    /// Handles a line of input; `None`: the input has ended.
    pub fn handle_line(&mut self, line: Option<String>) {
        let now = Instant::now();
        let Some(line) = line else {
            self.ending_since = Some(now);
            return;
        };
        match Line::parse(&line) {
            Line::Empty => {}
            Line::Message(text) => self.send_message(&self.room.clone(), &text),
            Line::PrivateMessage { who, text } => {
                self.add_roster_to_book();
                self.send_message(&self.book.resolve(&who), &text);
            }
            Line::Nick(nick) => self.session.nickname(&nick, now),
            Line::Who => self.list_participants(),
            Line::SendFile(path) => self.send_file(&path),
            Line::Quit => self.ending_since = Some(now),
            Line::Help => note(format_args!("{HELP}\n")),
            Line::Invalid(help) => self.terminal.usage(&help),
        }
    }

    fn add_roster_to_book(&mut self) {
        if let Some(entries) = self.call.subscription().and_then(|subscription| subscription.roster().entries()) {
            for who in entries {
                self.book.insert(&who.uri, who.nickname.as_deref().or(who.display_name.as_deref()));
            }
        }
    }

    fn send_message(&mut self, to: &str, text: &str) {
        let mut message = self.cpim_headers(to, "text/plain;charset=utf-8", None);
        message.extend_from_slice(text.as_bytes());
        self.session.message(&message, Instant::now());
    }

    fn cpim_headers(&self, to: &str, content_type: &str, disposition: Option<&str>) -> Vec<u8> {
        let datetime = rfc3339(SystemTime::now());
        let from_name = self.nick.as_deref();
        Envelope { from_name, from: &self.me, to, datetime: Some(&datetime), content_type, disposition }.encode()
    }

    fn list_participants(&mut self) {
        if let Some(subscription) = self.call.subscription()
            && let roster = subscription.roster()
            && let Some(entries) = roster.entries()
        {
            let lines: Vec<String> = entries.map(|who| who.line(roster.is_own(who))).collect();
            return lines.iter().for_each(|line| print_line(line));
        }
        print_line(&format!("{} (you)", self.nick.as_deref().unwrap_or(&self.me)));
        for (name, uri) in self.book.iter() {
            print_line(&name.map_or_else(|| uri.to_owned(), |name| format!("{name} <{uri}>")));
        }
        // Shown to scripts too.
        note(format_args!("* the room gives no roster: these have sent a message since you joined\n"));
    }

    fn send_file(&mut self, path: &FilePath) {
        if self.file.is_some() {
            return self.terminal.error("one file at a time");
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().replace(['"', '\\'], "_");
        let disposition = format!("attachment; filename=\"{name}\"");
        let head = self.cpim_headers(&self.room, media_type(path), Some(&disposition));
        match OutgoingFile::open(path, head, &mut self.session, self.terminal.shows_progress) {
            Ok(file) => self.file = Some(file),
            Err(error) => self.terminal.error(&format!("{} cannot be sent: {error}", path.display())),
        }
    }

    /// Sends chunks of the current file, as far as the limits allow.
    pub fn send_file_chunks(&mut self) {
        let now = Instant::now();
        let Some(mut file) = self.file.take() else { return };
        while file.can_send() && self.session.outgoing.len() < OUTGOING_BYTES_MAX {
            if let Err(error) = file.send_chunk(&mut self.session, now) {
                file.abort(&mut self.session, now);
                return self.terminal.error(&format!("{} was not sent: {error}", file.name));
            }
        }
        self.file = Some(file);
    }
}
