//! Whether the server of this config runs already and holds the ports that are looked at.
//!
//! The arguments of a process say which config it serves, `/proc/PID/fd` which sockets it has, and `/proc/net` which socket
//! listens on an address. So another program on one of the ports is never taken for the server, nor is a server of another config.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The processes that serve this config.
#[derive(Debug, Default)]
pub(super) struct Running(Vec<Process>);

#[derive(Debug)]
struct Process {
    id: u32,
    user: u32,
    /// The inodes of its sockets; `None` where this user may not see them.
    sockets: Option<HashSet<u64>>,
}

/// Who listens on an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    /// The server of this config, by its process id.
    Server(u32),
    /// As far as this user may see: a socket of the server's user.
    Perhaps(u32),
    /// Somebody else.
    Other,
}

/// What listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Datagrams,
    Streams,
}

impl Running {
    /// Looks for servers of the config of this path; without one, for servers that have none.
    pub(super) fn serving(config: Option<&Path>) -> Self {
        let wanted = match config.map(fs::canonicalize) {
            Some(Ok(path)) => Some(path),
            Some(Err(_)) => return Self::default(),
            None => None,
        };
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        Self(ids.filter(|id| serves(*id, wanted.as_deref())).filter_map(Process::of).collect())
    }

    /// Who listens on an address.
    pub(super) fn holder(&self, kind: Kind, address: SocketAddr) -> Holder {
        if self.0.is_empty() {
            return Holder::Other;
        }
        let tables = match kind {
            Kind::Datagrams => ["/proc/net/udp", "/proc/net/udp6"],
            Kind::Streams => ["/proc/net/tcp", "/proc/net/tcp6"],
        };
        let text: String = tables.iter().filter_map(|path| fs::read_to_string(path).ok()).collect();
        let listening: Vec<Socket> = sockets(&text, kind).filter(|socket| overlap(socket.address, address)).collect();
        self.0.iter().map(|process| process.holds(&listening)).find(|it| *it != Holder::Other).unwrap_or(Holder::Other)
    }
}

impl Process {
    fn of(id: u32) -> Option<Self> {
        let folder = PathBuf::from(format!("/proc/{id}"));
        let user = fs::metadata(&folder).ok()?.uid();
        let open = fs::read_dir(folder.join("fd")).ok();
        let sockets = open.map(|open| {
            let links = open.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
            links.filter_map(|link| inode(link.to_str()?)).collect()
        });
        Some(Self { id, user, sockets })
    }

    /// Whether all of these sockets are its own.
    fn holds(&self, listening: &[Socket]) -> Holder {
        let all = |own: &dyn Fn(&Socket) -> bool| !listening.is_empty() && listening.iter().all(own);
        match &self.sockets {
            Some(sockets) if all(&|socket| sockets.contains(&socket.inode)) => Holder::Server(self.id),
            None if all(&|socket| socket.user == self.user) => Holder::Perhaps(self.id),
            _ => Holder::Other,
        }
    }
}

/// The inode in a link of `/proc/PID/fd`, if it is a socket.
fn inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Whether a process is a server of the config of this path.
fn serves(id: u32, wanted: Option<&Path>) -> bool {
    let folder = PathBuf::from(format!("/proc/{id}"));
    let octets = fs::read(folder.join("cmdline")).unwrap_or_default();
    let arguments: Vec<OsString> =
        octets.split(|octet| *octet == 0).map(|argument| OsString::from_vec(argument.to_vec())).collect();
    match (config_of(&arguments), wanted) {
        (Some(None), None) => true,
        // A relative path counts from where the server was started; an absolute one replaces it.
        (Some(Some(path)), Some(wanted)) => {
            let start = fs::read_link(folder.join("cwd")).unwrap_or_default();
            fs::canonicalize(start.join(path)).is_ok_and(|path| path == wanted)
        }
        _ => false,
    }
}

/// The config that is named by the arguments of `parlor serve`; `None` where they are of something else.
fn config_of(arguments: &[OsString]) -> Option<Option<&OsStr>> {
    let [program, command, flags @ ..] = arguments else { return None };
    let named_so = Path::new(program).file_name().is_some_and(|name| name.as_bytes().starts_with(b"parlor"));
    if !named_so || command != "serve" {
        return None;
    }
    let apart =
        flags.iter().position(|flag| flag == "--config").and_then(|at| flags.get(at + 1)).map(OsString::as_os_str);
    let joined = || flags.iter().find_map(|flag| flag.as_bytes().strip_prefix(b"--config=").map(OsStr::from_bytes));
    Some(apart.or_else(joined))
}

/// One line of `/proc/net/tcp` and its like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Socket {
    address: SocketAddr,
    user: u32,
    inode: u64,
}

/// The state of a TCP socket that listens, as `/proc/net/tcp` writes it.
const LISTENING: &str = "0A";

/// What listens, of a table of sockets.
fn sockets(table: &str, kind: Kind) -> impl Iterator<Item = Socket> {
    table.lines().filter_map(move |line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        if kind == Kind::Streams && fields.get(3) != Some(&LISTENING) {
            return None;
        }
        let (address, user, inode) = (fields.get(1)?, fields.get(7)?, fields.get(9)?);
        Some(Socket { address: socket_address(address)?, user: user.parse().ok()?, inode: inode.parse().ok()? })
    })
}

/// `0100007F:13C4`: the octets of an address in words of this machine's order, and a port.
fn socket_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(address.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    let address: IpAddr = match address.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let octets: [u8; 16] = words.concat().try_into().ok()?;
            Ipv6Addr::from(octets).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(address, u16::from_str_radix(port, 16).ok()?))
}

/// Whether what listens on one address takes the other.
pub(super) fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port() && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    fn arguments(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn the_config_of_a_server_is_read_from_its_arguments() {
        let config = |text: &str| config_of(&arguments(text)).map(|config| config.map(OsStr::to_os_string));
        assert_eq!(config("parlor serve"), Some(None));
        assert_eq!(config("/usr/bin/parlor serve --cores 0 --config a.toml"), Some(Some("a.toml".into())));
        assert_eq!(
            config("target/debug/parlor serve --config=/etc/a.toml --io ring"),
            Some(Some("/etc/a.toml".into()))
        );
        for other in ["parlor check --config a.toml", "nginx serve", "parlor", "python3 serve --config a.toml"] {
            assert_eq!(config(other), None, "{other}");
        }
    }

    #[test]
    fn tables_of_sockets_are_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                     0: 0100007F:13C4 00000000:0000 0A 00000000:00000000 00:00000000 00000000   998        0 4711 1 0 100\n   \
                     1: 0100007F:13C4 0100007F:D431 01 00000000:00000000 00:00000000 00000000   998        0 4712 1 0 100\n";
        let found: Vec<_> = sockets(table, Kind::Streams).collect();
        let address = if cfg!(target_endian = "little") { "127.0.0.1:5060" } else { "1.0.0.127:5060" };
        assert_eq!(found, [Socket { address: address.parse().unwrap(), user: 998, inode: 4711 }]);
        assert_eq!(sockets(table, Kind::Datagrams).count(), 2, "the states of datagrams say nothing");
        assert_eq!(socket_address("0000000000000000FFFF00000100007F:0050"), Some("127.0.0.1:80".parse().unwrap()));
        assert_eq!(socket_address("00000000000000000000000001000000:0050"), Some("[::1]:80".parse().unwrap()));
        assert_eq!((socket_address(""), socket_address("01:50"), inode("pipe:[3]")), (None, None, None));
    }

    #[test]
    fn sockets_are_found_with_the_process_that_has_them() {
        let (stream, datagram) = (TcpListener::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("[::1]:0"));
        let own = Running(vec![Process::of(std::process::id()).unwrap()]);
        let server = Holder::Server(std::process::id());
        let address = stream.local_addr().unwrap();
        assert_eq!(own.holder(Kind::Streams, address), server);
        assert_eq!(own.holder(Kind::Streams, (Ipv4Addr::UNSPECIFIED, address.port()).into()), server);
        assert_eq!(own.holder(Kind::Streams, (Ipv4Addr::new(127, 0, 0, 2), address.port()).into()), Holder::Other);
        if let Ok(datagram) = datagram {
            assert_eq!(own.holder(Kind::Datagrams, datagram.local_addr().unwrap()), server);
        }
        // Somebody else's, and one that only looks like it.
        let user = fs::metadata("/proc/self").unwrap().uid();
        let other = |user, sockets| Running(vec![Process { id: 1, user, sockets }]).holder(Kind::Streams, address);
        assert_eq!(other(user, Some(HashSet::new())), Holder::Other);
        assert_eq!(other(user, None), Holder::Perhaps(1));
        assert_eq!(other(user + 1, None), Holder::Other);
        assert_eq!(Running::default().holder(Kind::Streams, address), Holder::Other);
    }
}
