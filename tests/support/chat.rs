//! A running `parlor chat` with piped input.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Ended with this value.
pub struct Chat {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Chat {
    /// Starts one; `arguments` come behind `chat`.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_with("", arguments)
    }

    /// Starts one that has a password.
    pub fn start_with(password: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_parlor"))
            .arg("chat")
            .args(arguments)
            .env("PARLOR_PASSWORD", password)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    /// Starts one, and waits until the room hears from it.
    pub fn present(identity: &str, arguments: &[&str]) -> Self {
        let mut all = vec!["--as", identity];
        all.extend_from_slice(arguments);
        let mut chat = Self::start(&all);
        // A message to oneself comes back when the session is bound.
        chat.say(&format!("/msg {identity} here"));
        let line = chat.line();
        if !line.ends_with("(private): here") {
            panic!("{line:?} {:?}", chat.end());
        }
        chat
    }

    pub fn say(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Ends the input: the exit code, what was still printed, and what was complained about.
    pub fn end(mut self) -> (Option<i32>, String, String) {
        drop(self.input.take());
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        let (code, complaints) = self.wait();
        (code, rest, complaints)
    }

    /// Waits until it has ended by itself: the exit code, and what was complained about.
    pub fn wait(mut self) -> (Option<i32>, String) {
        let mut complaints = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut complaints).unwrap();
        (self.child.wait().unwrap().code(), complaints)
    }
}

impl Drop for Chat {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
