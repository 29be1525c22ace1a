//! The config file: TOML to settings, with errors that have a position and say what is expected.
//!
//! Every key has a default, so an empty file is a valid config. Unknown keys are errors, and so are keys of later versions: a setting
//! must not be ignored silently.

mod auth;
mod changes;
mod errors;
mod load;
mod reference;
mod rooms;
mod section;
mod server;
mod settings;
mod tables;
mod tls;
mod values;

pub use errors::{ConfigError, ConfigErrors};
pub use reference::REFERENCE;
pub use tables::{
    AuthConfig, COPY_BELOW_BYTES_MAX, Config, Cores, LogConfig, LogFormat, LogLevel, MsrpConfig, RoomsConfig, SPIN_MAX,
    ShardsConfig, SipConfig, SipListen, SipTransport, TlsConfig,
};
pub use values::{parse_cores, parse_duration, parse_sip_listen, parse_size};
