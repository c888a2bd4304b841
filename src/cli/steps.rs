//! What to type next, once a broker serves.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// The flags that lead redis-cli, whose own default is 127.0.0.1, to an address.
pub fn redis_cli_place(addr: SocketAddr) -> String {
    let port = addr.port();
    match addr.ip() {
        ip if ip.is_unspecified() || ip == Ipv4Addr::LOCALHOST => format!("-p {port}"),
        ip => format!("-h {ip} -p {port}"),
    }
}

/// The program as it was called: who has a path for it needs the path again.
fn program() -> String {
    let called = PathBuf::from(std::env::args_os().next().unwrap_or_default());
    // Cargo names it from the root of the filesystem.
    let here = std::env::current_dir().unwrap_or_default();
    let short = called.strip_prefix(&here).unwrap_or(&called);
    short.display().to_string()
}

/// What to type next. No password is shown; a word says where it belongs.
pub fn next_steps(url: &str, redis_cli_place: &str, has_password: bool) -> [String; 3] {
    let url = match url.split_once("://:") {
        // The first sign ends the password, in which others are encoded.
        Some((scheme, rest)) if has_password => {
            let place = rest.split_once('@').map_or("", |(_, place)| place);
            format!("{scheme}://:PASSWORD@{place}")
        }
        _ => url.to_owned(),
    };
    let flag = match url.as_str() {
        // The default of the verbs.
        "redis://127.0.0.1:6379/0" => String::new(),
        url => format!(" --url {url}"),
    };
    let password = if has_password { " -a PASSWORD" } else { "" };
    let respd = program();
    [
        format!("In a second terminal, see what is published: {respd} subscribe{flag}"),
        format!("In a third one, publish something: {respd} publish hello{flag}"),
        format!("Or use the tools of Redis: redis-cli {redis_cli_place}{password}"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_show_no_password() {
        let [subscribe, publish, redis_cli] =
            next_steps("redis://:s%40cret@127.0.0.1:7000/0", "-p 7000", true);
        let url = "redis://:PASSWORD@127.0.0.1:7000/0";
        assert!(subscribe.ends_with(&format!("subscribe --url {url}")));
        assert!(publish.ends_with(&format!("publish hello --url {url}")));
        assert!(redis_cli.ends_with(": redis-cli -p 7000 -a PASSWORD"));
    }

    #[test]
    fn steps_are_short_where_the_default_will_do() {
        let [subscribe, _, redis_cli] = next_steps("redis://127.0.0.1:6379/0", "-p 6379", false);
        assert!(subscribe.ends_with(" subscribe"));
        assert!(redis_cli.ends_with(": redis-cli -p 6379"));
        let [subscribe, ..] = next_steps("unix:///run/a@b.sock", "-s /run/a@b.sock", false);
        assert!(subscribe.ends_with("subscribe --url unix:///run/a@b.sock"));
    }

    #[test]
    fn redis_cli_is_told_the_host_unless_it_is_its_default() {
        let place = |addr: &str| redis_cli_place(addr.parse().unwrap());
        assert_eq!(place("127.0.0.1:1"), "-p 1");
        assert_eq!(place("0.0.0.0:1"), "-p 1");
        assert_eq!(place("127.0.0.2:1"), "-h 127.0.0.2 -p 1");
        assert_eq!(place("[::1]:1"), "-h ::1 -p 1");
    }
}
