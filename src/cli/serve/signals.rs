//! Signals: the end of the server, and what HUP reads again.

use std::path::PathBuf;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use crate::cli::check;
use crate::config::{Config, ConfigErrors, LogLevel};
use crate::control::Order;
use crate::tls::{Identity, TlsSetup};

/// The name of a signal, and which it is.
type Ignored = (&'static str, fn() -> SignalKind);

/// Signals that end a process by default and mean nothing here. QUIT stays what it is, for whoever wants a core dump.
const IGNORED: [Ignored; 7] = [
    ("USR1", SignalKind::user_defined1),
    ("USR2", SignalKind::user_defined2),
    ("ALRM", SignalKind::alarm),
    ("VTALRM", || SignalKind::from_raw(libc::SIGVTALRM)),
    ("PROF", || SignalKind::from_raw(libc::SIGPROF)),
    ("IO", SignalKind::io),
    ("PWR", || SignalKind::from_raw(libc::SIGPWR)),
];

/// Signals that an operator sends.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    ignored: Vec<(&'static str, Signal)>,
}

impl Signals {
    /// Takes them from here on, in place of what they do by default.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn new() -> std::io::Result<Self> {
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

    /// Makes orders of them: the first TERM or INT drains, the second ends, HUP reads the config again.
    pub(super) async fn run(mut self, orders: mpsc::Sender<Order>, reload: Reload) {
        for (name, mut ignored) in self.ignored.drain(..) {
            tokio::task::spawn_local(async move {
                while ignored.recv().await.is_some() {
                    info!(signal = name, "a signal that means nothing here is ignored");
                }
            });
        }
        let mut draining = false;
        loop {
            let wanted = tokio::select! {
                _ = self.terminate.recv() => vec![end_or_drain(&mut draining)],
                _ = self.interrupt.recv() => vec![end_or_drain(&mut draining)],
                _ = self.hang_up.recv() => reload.orders(),
            };
            for order in wanted {
                if orders.send(order).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn end_or_drain(draining: &mut bool) -> Order {
    if std::mem::replace(draining, true) {
        return Order::End;
    }
    info!("draining: nobody joins any more; a second signal ends at once");
    Order::Drain
}

/// What HUP reads again.
pub(super) struct Reload {
    /// The config, if there is one.
    pub(super) path: Option<PathBuf>,
    /// Reads it, and puts the flags of the command line over it.
    pub(super) read: Box<dyn Fn() -> Result<Config, ConfigErrors>>,
    /// What the server has started with.
    pub(super) started_with: Config,
    /// Puts a level of the log in force.
    pub(super) set_level: Box<dyn Fn(LogLevel)>,
    /// Where another certificate goes.
    pub(super) tls: Option<TlsSetup>,
}

impl Reload {
    /// Rooms, their policies, the users, the certificate and the level of the log can change while the server runs. A config that is wrong leaves the old one
    /// in force, and so does a certificate that cannot be used.
    fn orders(&self) -> Vec<Order> {
        let Some(path) = self.path.as_deref() else {
            info!("there is no config to be read again");
            return Vec::new();
        };
        match (self.read)() {
            Ok(config) => {
                (self.set_level)(config.log.level);
                info!(config = %path.display(), "rooms, policies, users and log.level were read again");
                let keys = self.started_with.needs_restart(&config);
                if !keys.is_empty() {
                    warn!(keys = keys.join(","), "these settings have changed and need a restart");
                }
                let rooms = Order::ReplaceRooms(Box::new(config.room_settings()));
                [rooms, Order::ReplaceUsers(config.users())].into_iter().chain(self.certificate(&config)).collect()
            }
            Err(errors) => {
                for error in &errors.errors {
                    error!(error = errors.line(error), "the config is wrong, the old one stays in force");
                }
                Vec::new()
            }
        }
    }

    fn certificate(&self, config: &Config) -> Option<Order> {
        let (setup, files) = (self.tls.as_ref()?, config.tls.as_ref()?);
        let identity = Identity::load(&files.certificate, &files.private_key).map_err(|error| error.to_string());
        // A server without any other one would start with it; this one has another.
        match identity.and_then(|identity| check::not_in_force(&identity).map_or(Ok(identity), Err)) {
            Ok(identity) => {
                setup.replace(&identity);
                info!(certificate = %files.certificate.display(), "the certificate was read again");
                Some(Order::ReplaceFingerprints(identity.fingerprints))
            }
            Err(error) => {
                error!(%error, "the certificate cannot be used, the old one stays in force");
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
    fn a_certificate_whose_time_is_over_does_not_take_the_place_of_another() {
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
        let Some(Order::ReplaceFingerprints(fingerprints)) = reload.certificate(&config) else { panic!() };
        assert_eq!(fingerprints, renewed.fingerprints);
    }
}
