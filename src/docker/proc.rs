//! What Linux says about processes and sockets, read from `/proc`. Whatever cannot be read is `None`, never a guess.

use std::path::Path;

/// A process that cannot be mistaken for a later one of the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    /// Its pid.
    pub(super) pid: i32,
    /// When it started, in clock ticks since boot.
    pub(super) started: u64,
}

impl Process {
    /// The process that has this pid now.
    pub(super) fn of(pid: i32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the name in parentheses and may hold anything; `started` is the 22nd, the 20th after it.
        let started = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
        Some(Self { pid, started })
    }

    /// Whether it still runs.
    pub(super) fn lives(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Whether one of its descriptors is the socket with this inode; `None`: not allowed to look.
    pub(super) fn holds(self, inode: u64) -> Option<bool> {
        let wanted = format!("socket:[{inode}]");
        let descriptors = match std::fs::read_dir(format!("/proc/{}/fd", self.pid)) {
            Ok(descriptors) => descriptors,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Some(false),
            Err(_) => return None,
        };
        let mut links = descriptors.flatten().filter_map(|entry| std::fs::read_link(entry.path()).ok());
        Some(links.any(|link| link.as_os_str() == wanted.as_str()))
    }
}

/// A process's short name.
pub(super) fn name(pid: i32) -> Option<String> {
    Some(std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim_end().to_owned())
}

/// All processes there are.
pub(super) fn pids() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The inode of the unix socket listening at `path`, in the network namespace of `pid`.
pub(super) fn unix_listener(pid: i32, path: &Path) -> Option<u64> {
    let table = std::fs::read_to_string(format!("/proc/{pid}/net/unix")).ok()?;
    table.lines().find_map(|line| listening_at(line, path))
}

/// `Num RefCount Protocol Flags Type St Inode Path`; flag 0x10000 is "listens".
fn listening_at(line: &str, path: &Path) -> Option<u64> {
    let mut fields = line.split_whitespace();
    let listens = u32::from_str_radix(fields.nth(3)?, 16).ok()? & 0x1_0000 != 0;
    let inode = fields.nth(2)?.parse().ok()?;
    (listens && same_socket(fields.next()?, path)).then_some(inode)
}

/// `/var/run` is a link to `/run`: the path bound to and the path connected to may differ by it.
fn same_socket(bound: &str, path: &Path) -> bool {
    let bare = |path: &Path| path.strip_prefix("/var/run").or(path.strip_prefix("/run")).unwrap_or(path).to_owned();
    bare(Path::new(bound)) == bare(path)
}

/// The inode of the socket that has this local port open, in the network namespace of `pid`; `protocol` is `tcp` or `udp`.
pub(super) fn port_listener(pid: i32, port: u16, protocol: &str) -> Option<u64> {
    // "Listening" is state 0A for TCP; a UDP socket that is bound and not connected is in state 07.
    let state = match protocol {
        "tcp" => "0A",
        "udp" => "07",
        _ => return None,
    };
    ["", "6"].iter().find_map(|family| {
        let table = std::fs::read_to_string(format!("/proc/{pid}/net/{protocol}{family}")).ok()?;
        table.lines().skip(1).find_map(|line| open_on_port(line, port, state))
    })
}

/// `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode ..`
fn open_on_port(line: &str, port: u16, state: &str) -> Option<u64> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let local = u16::from_str_radix(fields.get(1)?.rsplit_once(':')?.1, 16).ok()?;
    (local == port && *fields.get(3)? == state).then(|| fields.get(9)?.parse().ok())?
}

/// Any process that holds the socket with this inode.
pub(super) fn holder(inode: u64) -> Option<Process> {
    pids().filter_map(Process::of).find(|process| process.holds(inode) == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    fn me() -> Process {
        Process::of(std::process::id().cast_signed()).unwrap()
    }

    #[test]
    fn a_process_is_told_from_a_later_one_of_the_same_pid() {
        assert!(me().lives());
        assert!(!Process { started: me().started + 1, ..me() }.lives());
        assert_eq!(Process::of(i32::MAX), None);
    }

    #[test]
    fn the_inode_of_a_listening_socket_is_found_and_lost_when_it_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("listen.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let inode = unix_listener(me().pid, &path).unwrap();
        assert_eq!(me().holds(inode), Some(true));
        assert_eq!(holder(inode), Some(me()));
        drop(listener);
        assert_eq!(unix_listener(me().pid, &path), None);
        assert_eq!(me().holds(inode), Some(false));
    }

    #[test]
    fn the_listener_of_a_tcp_port_is_found_and_a_client_of_that_port_is_not() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let inode = port_listener(me().pid, port, "tcp").unwrap();
        assert_eq!(holder(inode), Some(me()));
        assert_eq!(port_listener(me().pid, client.local_addr().unwrap().port(), "tcp"), None);
    }

    #[test]
    fn the_holder_of_a_udp_port_is_found() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        assert!(port_listener(me().pid, port, "udp").is_some());
        assert_eq!(port_listener(me().pid, port, "sctp"), None);
    }

    #[test]
    fn a_socket_bound_under_run_is_the_one_reached_under_var_run() {
        let line = "0000000000000000: 00000002 00000000 00010000 0001 01 4711 /run/docker.sock";
        assert_eq!(listening_at(line, Path::new("/var/run/docker.sock")), Some(4711));
        assert_eq!(listening_at(line, Path::new("/var/run/other.sock")), None);
        let connected = line.replace("00010000", "00000000");
        assert_eq!(listening_at(&connected, Path::new("/run/docker.sock")), None);
    }
}
