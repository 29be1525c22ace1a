//! `parlor chat`: a chat client for terminals and scripts.
//!
//! [`call`] is the SIP side and [`session`] the MSRP side, both without sockets. [`join`] opens the sockets and joins the room;
//! [`driver`] passes received octets and typed lines to the [`participant`], whose output goes to the [`terminal`].

mod address_book;
mod arguments;
mod call;
mod call_transactions;
mod clock;
mod commands;
mod digest_client;
mod driver;
mod error;
mod file;
mod headers;
mod inbox;
mod incoming;
mod join;
mod line;
mod network;
mod options;
mod participant;
mod parties;
mod receiver;
mod request_template;
mod roster;
mod session;
mod subscription;
mod target;
mod terminal;
mod tls;

use std::process::ExitCode;

pub use arguments::ChatArguments;

use super::output::{complain, has_failed};
use options::ChatOptions;

/// Runs the chat until the input ends, the user quits, or the room ends the call.
pub fn run(arguments: &ChatArguments) -> ExitCode {
    let options = match ChatOptions::new(arguments) {
        Ok(options) => options,
        Err(help) => {
            complain(help);
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(error);
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(driver::chat(options)) {
        Ok(true) if !has_failed() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            // Its text may be the peer's.
            complain(terminal::printable(&error));
            ExitCode::FAILURE
        }
    }
}
