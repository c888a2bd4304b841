//! Who has an address that a broker is to listen on, as far as the system tells.
//!
//! Only Linux does, in files. Another user's process stays unnamed.

use std::fs;
use std::net::{IpAddr, SocketAddr};

/// The process that listens at a TCP address, or in the way of it: `redis-server (pid 4711)`.
pub fn of_address(address: SocketAddr) -> Option<String> {
    let sockets = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| listening(&table, address));
    let sockets: Vec<String> = sockets.collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.find(|id| has_open(*id, &sockets)).map(name)
}

/// The name of a process and its id.
pub fn name(id: u32) -> String {
    let name = fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
    match name.trim() {
        "" => format!("pid {id}"),
        name => format!("{name} (pid {id})"),
    }
}

/// That an address is taken, in the system's words and with the process that has it.
pub fn in_use(holder: Option<String>) -> String {
    match holder {
        Some(holder) => format!("Address already in use by {holder}"),
        None => "Address already in use".to_owned(),
    }
}

fn has_open(process: u32, sockets: &[String]) -> bool {
    let files = fs::read_dir(format!("/proc/{process}/fd"));
    let mut files = files.into_iter().flatten().flatten();
    files.any(|file| {
        fs::read_link(file.path()).is_ok_and(|target| {
            let target = target.to_str();
            sockets.iter().any(|socket| Some(socket.as_str()) == target)
        })
    })
}

/// The sockets in one of the system's tables that listen on the port, at the same address or
/// where one of both stands for all; as the system names them where a process has them open.
fn listening(table: &str, address: SocketAddr) -> Vec<String> {
    const LISTENS: &str = "0A";
    let (host, port) = (in_hex(address.ip()), format!("{:04X}", address.port()));
    let is_meant = |line: &&str| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let local = fields.next().and_then(|local| local.split_once(':'));
        let state = fields.nth(1);
        local.is_some_and(|(their_host, their_port)| {
            let is_same = their_host == host
                || address.ip().is_unspecified()
                || their_host.bytes().all(|digit| digit == b'0');
            is_same && their_port == port && state == Some(LISTENS)
        })
    };
    // The first line has the names of the columns.
    let lines = table.lines().skip(1).filter(is_meant);
    let inodes = lines.filter_map(|line| line.split_ascii_whitespace().nth(9));
    inodes.map(|inode| format!("socket:[{inode}]")).collect()
}

/// An address as these tables have it: words of the machine's, each as one number.
fn in_hex(host: IpAddr) -> String {
    let octets = match host {
        IpAddr::V4(host) => host.octets().to_vec(),
        IpAddr::V6(host) => host.octets().to_vec(),
    };
    let (words, _) = octets.as_chunks::<4>();
    let words = words.iter().map(|word| u32::from_ne_bytes(*word));
    words.map(|word| format!("{word:08X}")).collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_listener_of_this_process_is_found() {
        for host in ["127.0.0.1:0", "0.0.0.0:0"] {
            let listener = TcpListener::bind(host).unwrap();
            let port = listener.local_addr().unwrap().port();
            let wanted = SocketAddr::from(([127, 0, 0, 1], port));
            let own = cfg!(target_os = "linux").then(|| name(std::process::id()));
            assert_eq!(of_address(wanted), own, "{host}");
        }
    }

    #[test]
    fn only_who_listens_there_is_meant() {
        let line = |local: &str, state: &str, inode: u32| {
            format!(
                "   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1 0 100 0 0 10 0\n"
            )
        };
        let home = format!("{}:1F90", in_hex(IpAddr::from([127, 0, 0, 1])));
        let other = format!("{}:1F90", in_hex(IpAddr::from([127, 0, 0, 2])));
        let table = [
            "  sl  local_address rem_address   st ...\n".to_owned(),
            line(&other, "0A", 1),
            line(&home, "01", 2),
            line("00000000:1F91", "0A", 3),
            line(&home, "0A", 4),
            line("00000000:1F90", "0A", 5),
        ]
        .concat();
        let at = |host: [u8; 4]| listening(&table, SocketAddr::from((host, 8080)));
        assert_eq!(at([127, 0, 0, 1]), ["socket:[4]", "socket:[5]"]);
        assert_eq!(at([0, 0, 0, 0]), ["socket:[1]", "socket:[4]", "socket:[5]"]);
        assert_eq!(listening("", SocketAddr::from(([0; 4], 1))), [""; 0]);
    }
}
