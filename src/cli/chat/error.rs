//! Errors of the chat client.

/// Why the chat cannot begin or continue: a text for the user that names a remedy where there is one.
pub type ChatError = String;
