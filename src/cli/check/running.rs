//! Running servers of a config, and which sockets they own.
//!
//! The arguments of a process tell its config, `/proc/PID/fd` its sockets, and `/proc/net` the address of a socket. So neither another
//! program nor a server of another config is mistaken for one.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The running servers of one config.
#[derive(Debug, Default)]
pub struct RunningServers(Vec<Process>);

#[derive(Debug)]
struct Process {
    id: u32,
    user: u32,
    /// The inodes of its sockets; `None` if this user may not list them.
    sockets: Option<HashSet<u64>>,
}

/// Which process listens on an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// A server of the config, with its process id.
    Server(u32),
    /// A process of the server's user. This user may not see which.
    ProbablyServer(u32),
    /// Another process, or none.
    Other,
}

/// The kind of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketKind {
    /// A UDP socket.
    Udp,
    /// A TCP listener.
    Tcp,
}

impl RunningServers {
    /// Finds the servers of a config file; without a path, those without a config file.
    pub fn of_config(config: Option<&Path>) -> Self {
        let wanted = match config.map(fs::canonicalize) {
            Some(Ok(path)) => Some(path),
            Some(Err(_)) => return Self::default(),
            None => None,
        };
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        Self(ids.filter(|id| serves(*id, wanted.as_deref())).filter_map(Process::of).collect())
    }

    /// The owner of the sockets on an address.
    pub fn owner(&self, kind: SocketKind, address: SocketAddr) -> Owner {
        if self.0.is_empty() {
            return Owner::Other;
        }
        let tables = match kind {
            SocketKind::Udp => ["/proc/net/udp", "/proc/net/udp6"],
            SocketKind::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
        };
        let text: String = tables.iter().filter_map(|path| fs::read_to_string(path).ok()).collect();
        let listening: Vec<Socket> = sockets(&text, kind).filter(|socket| overlap(socket.address, address)).collect();
        self.0.iter().map(|process| process.owner_of(&listening)).find(|it| *it != Owner::Other).unwrap_or(Owner::Other)
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

    /// The owner of these sockets, if they are all of this process.
    fn owner_of(&self, listening: &[Socket]) -> Owner {
        let all = |own: &dyn Fn(&Socket) -> bool| !listening.is_empty() && listening.iter().all(own);
        match &self.sockets {
            Some(sockets) if all(&|socket| sockets.contains(&socket.inode)) => Owner::Server(self.id),
            None if all(&|socket| socket.user == self.user) => Owner::ProbablyServer(self.id),
            _ => Owner::Other,
        }
    }
}

/// The inode in a link of `/proc/PID/fd`, if it is a socket.
fn inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Whether a process is a server of a config file.
fn serves(id: u32, wanted: Option<&Path>) -> bool {
    let folder = PathBuf::from(format!("/proc/{id}"));
    let octets = fs::read(folder.join("cmdline")).unwrap_or_default();
    let arguments: Vec<OsString> =
        octets.split(|octet| *octet == 0).map(|argument| OsString::from_vec(argument.to_vec())).collect();
    match (config_of(&arguments), wanted) {
        (Some(None), None) => true,
        // A relative path starts at the working directory; an absolute one replaces it in the join.
        (Some(Some(path)), Some(wanted)) => {
            let start = fs::read_link(folder.join("cwd")).unwrap_or_default();
            fs::canonicalize(start.join(path)).is_ok_and(|path| path == wanted)
        }
        _ => false,
    }
}

/// The config file in the arguments of `parlor serve`; `None` for another command.
fn config_of(arguments: &[OsString]) -> Option<Option<&OsStr>> {
    let [program, command, flags @ ..] = arguments else { return None };
    let is_parlor = Path::new(program).file_name().is_some_and(|name| name.as_bytes().starts_with(b"parlor"));
    if !is_parlor || command != "serve" {
        return None;
    }
    let separate =
        flags.iter().position(|flag| flag == "--config").and_then(|at| flags.get(at + 1)).map(OsString::as_os_str);
    let joined = || flags.iter().find_map(|flag| flag.as_bytes().strip_prefix(b"--config=").map(OsStr::from_bytes));
    Some(separate.or_else(joined))
}

/// One line of `/proc/net/tcp` or `/proc/net/udp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Socket {
    address: SocketAddr,
    user: u32,
    inode: u64,
}

/// The state of a listening socket in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// The listening sockets of a table.
fn sockets(table: &str, kind: SocketKind) -> impl Iterator<Item = Socket> {
    table.lines().filter_map(move |line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        if kind == SocketKind::Tcp && fields.get(3) != Some(&LISTENING) {
            return None;
        }
        let (address, user, inode) = (fields.get(1)?, fields.get(7)?, fields.get(9)?);
        Some(Socket { address: socket_address(address)?, user: user.parse().ok()?, inode: inode.parse().ok()? })
    })
}

/// Parses `0100007F:13C4`: the address as words in the byte order of this machine, and the port.
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

/// Whether a socket on one address prevents binding the other.
pub fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
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
    fn the_config_of_a_server_is_found_in_its_arguments() {
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
    fn socket_tables_are_parsed() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                     0: 0100007F:13C4 00000000:0000 0A 00000000:00000000 00:00000000 00000000   998        0 4711 1 0 100\n   \
                     1: 0100007F:13C4 0100007F:D431 01 00000000:00000000 00:00000000 00000000   998        0 4712 1 0 100\n";
        let found: Vec<_> = sockets(table, SocketKind::Tcp).collect();
        let address = if cfg!(target_endian = "little") { "127.0.0.1:5060" } else { "1.0.0.127:5060" };
        assert_eq!(found, [Socket { address: address.parse().unwrap(), user: 998, inode: 4711 }]);
        assert_eq!(sockets(table, SocketKind::Udp).count(), 2, "UDP sockets have no listening state");
        assert_eq!(socket_address("0000000000000000FFFF00000100007F:0050"), Some("127.0.0.1:80".parse().unwrap()));
        assert_eq!(socket_address("00000000000000000000000001000000:0050"), Some("[::1]:80".parse().unwrap()));
        assert_eq!((socket_address(""), socket_address("01:50"), inode("pipe:[3]")), (None, None, None));
    }

    #[test]
    fn sockets_are_found_with_their_process() {
        let (stream, datagram) = (TcpListener::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("[::1]:0"));
        let own = RunningServers(vec![Process::of(std::process::id()).unwrap()]);
        let server = Owner::Server(std::process::id());
        let address = stream.local_addr().unwrap();
        assert_eq!(own.owner(SocketKind::Tcp, address), server);
        assert_eq!(own.owner(SocketKind::Tcp, (Ipv4Addr::UNSPECIFIED, address.port()).into()), server);
        assert_eq!(own.owner(SocketKind::Tcp, (Ipv4Addr::new(127, 0, 0, 2), address.port()).into()), Owner::Other);
        if let Ok(datagram) = datagram {
            assert_eq!(own.owner(SocketKind::Udp, datagram.local_addr().unwrap()), server);
        }
        // Another process's socket, and one that cannot be seen.
        let user = fs::metadata("/proc/self").unwrap().uid();
        let other =
            |user, sockets| RunningServers(vec![Process { id: 1, user, sockets }]).owner(SocketKind::Tcp, address);
        assert_eq!(other(user, Some(HashSet::new())), Owner::Other);
        assert_eq!(other(user, None), Owner::ProbablyServer(1));
        assert_eq!(other(user + 1, None), Owner::Other);
        assert_eq!(RunningServers::default().owner(SocketKind::Tcp, address), Owner::Other);
    }
}
