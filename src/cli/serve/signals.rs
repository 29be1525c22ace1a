//! Signals: drain, exit and reload.

use std::path::PathBuf;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use crate::cli::check;
use crate::config::{Config, ConfigErrors, LogLevel};
use crate::control::ControlMessage;
use crate::tls::{Identity, TlsSetup};

/// The name and the number of a signal.
type Ignored = (&'static str, fn() -> SignalKind);

/// Signals that end a process by default and are ignored here. QUIT is not: it makes a core dump.
const IGNORED: [Ignored; 7] = [
    ("USR1", SignalKind::user_defined1),
    ("USR2", SignalKind::user_defined2),
    ("ALRM", SignalKind::alarm),
    ("VTALRM", || SignalKind::from_raw(libc::SIGVTALRM)),
    ("PROF", || SignalKind::from_raw(libc::SIGPROF)),
    ("IO", SignalKind::io),
    ("PWR", || SignalKind::from_raw(libc::SIGPWR)),
];

/// The signal handlers.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    ignored: Vec<(&'static str, Signal)>,
}

impl Signals {
    /// Installs the handlers.
    ///
    /// # Errors
    /// Returns the error of the system.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            ignored: IGNORED
                .into_iter()
                .map(|(name, kind)| Ok((name, signal(kind())?)))
                .collect::<std::io::Result<_>>()?,
        })
    }

    /// Turns signals into messages: the first TERM or INT drains, the second stops, HUP reloads the config.
    pub async fn run(mut self, messages: mpsc::Sender<ControlMessage>, reload: Reload) {
        for (name, mut ignored) in self.ignored.drain(..) {
            tokio::task::spawn_local(async move {
                while ignored.recv().await.is_some() {
                    info!(signal = name, "signal ignored");
                }
            });
        }
        let mut draining = false;
        loop {
            let wanted = tokio::select! {
                _ = self.terminate.recv() => vec![drain_or_stop(&mut draining)],
                _ = self.interrupt.recv() => vec![drain_or_stop(&mut draining)],
                _ = self.hang_up.recv() => reload.messages(),
            };
            for message in wanted {
                if messages.send(message).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn drain_or_stop(draining: &mut bool) -> ControlMessage {
    if std::mem::replace(draining, true) {
        return ControlMessage::Stop;
    }
    info!("draining: new calls are refused; a second signal stops at once");
    ControlMessage::Drain
}

/// The reload of the config.
pub struct Reload {
    /// The config file.
    pub path: Option<PathBuf>,
    /// Reads it, and applies the flags of the command line.
    pub read: Box<dyn Fn() -> Result<Config, ConfigErrors>>,
    /// The config at the start.
    pub started_with: Config,
    /// Sets the log level.
    pub set_level: Box<dyn Fn(LogLevel)>,
    /// The TLS configs whose certificate is replaced.
    pub tls: Option<TlsSetup>,
}

impl Reload {
    /// Reads the config. Rooms, policies, users, the certificate and the log level are replaced; an invalid config or certificate leaves
    /// the old one in force.
    fn messages(&self) -> Vec<ControlMessage> {
        let Some(path) = self.path.as_deref() else {
            info!("there is no config file to reload");
            return Vec::new();
        };
        match (self.read)() {
            Ok(config) => {
                (self.set_level)(config.log.level);
                info!(config = %path.display(), "rooms, policies, users and log.level were reloaded");
                let keys = self.started_with.needs_restart(&config);
                if !keys.is_empty() {
                    warn!(keys = keys.join(","), "these settings have changed and need a restart");
                }
                let rooms = ControlMessage::ReplaceRooms(Box::new(config.room_settings()));
                [rooms, ControlMessage::ReplaceUsers(config.users())]
                    .into_iter()
                    .chain(self.certificate(&config))
                    .collect()
            }
            Err(errors) => {
                for error in &errors.errors {
                    error!(error = errors.line(error), "invalid config: the old one stays in force");
                }
                Vec::new()
            }
        }
    }

    fn certificate(&self, config: &Config) -> Option<ControlMessage> {
        let (setup, files) = (self.tls.as_ref()?, config.tls.as_ref()?);
        let identity = Identity::load(&files.certificate, &files.private_key).map_err(|error| error.to_string());
        // At the start, an expired certificate is used with a warning; here the one in force is better.
        match identity.and_then(|identity| check::validity_error(&identity).map_or(Ok(identity), Err)) {
            Ok(identity) => {
                setup.replace(&identity);
                info!(certificate = %files.certificate.display(), "the certificate was reloaded");
                Some(ControlMessage::ReplaceFingerprints(identity.fingerprints))
            }
            Err(error) => {
                error!(%error, "invalid certificate: the old one stays in force");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TlsConfig;
    use crate::tls::Trust;

    #[test]
    fn an_expired_certificate_does_not_replace_a_valid_one() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, private_key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        let certify = |last_year: i32| {
            let mut parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            parameters.not_after = rcgen::date_time_ymd(last_year, 12, 31);
            let key = rcgen::KeyPair::generate().unwrap();
            std::fs::write(&certificate, parameters.self_signed(&key).unwrap().pem()).unwrap();
            std::fs::write(&private_key, key.serialize_pem()).unwrap();
            Identity::load(&certificate, &private_key).unwrap()
        };
        let setup = TlsSetup::new(&certify(4000), &Trust::load(None).unwrap()).unwrap();
        let reload = Reload {
            path: None,
            read: Box::new(|| Ok(Config::default())),
            started_with: Config::default(),
            set_level: Box::new(|_| {}),
            tls: Some(setup),
        };
        let files = TlsConfig { certificate: certificate.clone(), private_key: private_key.clone(), authorities: None };
        let config = Config { tls: Some(files), ..Config::default() };
        certify(2020);
        assert!(reload.certificate(&config).is_none());
        let renewed = certify(4000);
        let Some(ControlMessage::ReplaceFingerprints(fingerprints)) = reload.certificate(&config) else { panic!() };
        assert_eq!(fingerprints, renewed.fingerprints);
    }
}
