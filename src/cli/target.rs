//! The broker that a client verb connects to, as an address names it.
//!
//! It opens no connection, and no text made here, errors and `Debug` included, shows a password.

use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use url::{ParseError, Url};

const MALFORMED: &str =
    "not a valid address; special characters in a password must be percent-encoded";

/// The port that Redis listens on unless told otherwise.
pub const DEFAULT_PORT: u16 = 6379;

/// The host that is meant when none is named.
pub const DEFAULT_HOST: &str = "localhost";

/// What a port must be.
pub const PORT: &str = "the port must be a number from 1 to 65535";

/// A broker's address, who to be there, and which database to use.
#[derive(Clone, PartialEq)]
pub struct Target {
    pub address: Address,
    pub database: u32,
    pub credentials: Option<Credentials>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Address {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

/// What AUTH is given. Without a user it is the default one.
#[derive(Clone, PartialEq)]
pub struct Credentials {
    pub user: Option<Vec<u8>>,
    pub password: Vec<u8>,
}

impl Target {
    /// Parses `redis://[[user]:password@]host[:port][/db]`, the same with `valkey://`, or
    /// `unix:///path`, which `redis+unix://` also names. `?db=` wins over a database in the path, as
    /// in redis-py; `?user=` and `?pass=` serve sockets, as in redis-rs.
    pub fn parse(text: &str) -> Result<Target, &'static str> {
        let (scheme, rest) = text
            .split_once("://")
            .ok_or("an address begins with redis://, valkey:// or unix://")?;
        let is_socket = match scheme.to_ascii_lowercase().as_str() {
            "redis" | "valkey" => false,
            "unix" | "redis+unix" | "valkey+unix" => true,
            "rediss" | "valkeys" => return Err("TLS is not supported yet; use redis://"),
            _ => return Err("an address begins with redis://, valkey:// or unix://"),
        };
        // URLs with a user but no host, as redis-py writes them for sockets, are none by the
        // standard that the `url` crate follows.
        let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(authority_end);
        // A password with one of these signs ends the host early; what is left of it must not be
        // taken for a host, and shown.
        if path.contains('#') || !is_socket && path.contains('@') {
            return Err(MALFORMED);
        }
        let host = if authority.is_empty() || authority.ends_with('@') {
            DEFAULT_HOST
        } else {
            ""
        };
        let url =
            Url::parse(&format!("redis://{authority}{host}{path}")).map_err(
                |error| match error {
                    ParseError::InvalidPort => PORT,
                    _ => MALFORMED,
                },
            )?;
        if url.port() == Some(0) {
            return Err(PORT);
        }

        let mut target = Target {
            address: if is_socket { socket(&url)? } else { tcp(&url)? },
            database: 0,
            credentials: credentials(&url),
        };
        if !is_socket {
            let path = url.path();
            target.database = match path.strip_prefix('/').unwrap_or(path) {
                "" => 0,
                database => parse_database(database)?,
            };
        }
        for (name, value) in url.query_pairs() {
            match &*name {
                "db" => target.database = parse_database(&value)?,
                "pass" | "password" => {
                    let user = target.credentials.take().and_then(|given| given.user);
                    let password = value.as_bytes().to_vec();
                    target.credentials = Some(Credentials { user, password });
                }
                _ => {}
            }
        }
        if let Some(credentials) = &mut target.credentials {
            let user = url
                .query_pairs()
                .find(|(name, _)| name == "user" || name == "username");
            if let Some((_, user)) = user {
                credentials.user = Some(user.as_bytes().to_vec());
            }
        }
        Ok(target)
    }

    /// The command that starts a broker at this address, for a hint; none on another machine.
    pub fn start_command(&self) -> Option<String> {
        match &self.address {
            Address::Tcp { host, .. } if !is_local(host) => None,
            Address::Tcp {
                port: DEFAULT_PORT, ..
            } => Some("respd".to_owned()),
            Address::Tcp { port, .. } => Some(format!("respd --port {port}")),
            Address::Unix(path) => Some(format!("respd --unixsocket {}", path.display())),
        }
    }
}

fn is_local(host: &str) -> bool {
    let address: Option<IpAddr> = host.parse().ok();
    host == DEFAULT_HOST || address.is_some_and(|address| address.is_loopback())
}

fn tcp(url: &Url) -> Result<Address, &'static str> {
    let host = url.host_str().unwrap_or(DEFAULT_HOST);
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let host = String::from_utf8(percent_decode(host)).map_err(|_| "the host is not UTF-8")?;
    let port = url.port().unwrap_or(DEFAULT_PORT);
    Ok(Address::Tcp { host, port })
}

fn socket(url: &Url) -> Result<Address, &'static str> {
    let path = percent_decode(url.path());
    if url.host_str() != Some(DEFAULT_HOST) || !path.starts_with(b"/") || path == b"/" {
        return Err("the path of a socket is absolute, with three slashes: unix:///run/redis.sock");
    }
    Ok(Address::Unix(PathBuf::from(OsString::from_vec(path))))
}

/// As redis-cli reads them: what stands alone before the `@` is a password, not a user.
fn credentials(url: &Url) -> Option<Credentials> {
    let user = percent_decode(url.username());
    match url.password() {
        Some(password) => Some(Credentials {
            user: (!user.is_empty()).then_some(user),
            password: percent_decode(password),
        }),
        None if user.is_empty() => None,
        None => Some(Credentials {
            user: None,
            password: user,
        }),
    }
}

fn parse_database(text: &str) -> Result<u32, &'static str> {
    // The standard parser would take a plus sign, too.
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("the database must be a number");
    }
    text.parse().map_err(|_| "the database must be a number")
}

/// Bytes, because passwords and paths need not be UTF-8. An escape that is none stays as it is.
fn percent_decode(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        let escaped = after
            .split_at_checked(2)
            .filter(|(hex, _)| *byte == b'%' && hex.iter().all(u8::is_ascii_hexdigit))
            .and_then(|(hex, after)| {
                let byte = u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()?;
                Some((byte, after))
            });
        let (byte, after) = escaped.unwrap_or((*byte, after));
        decoded.push(byte);
        rest = after;
    }
    decoded
}

/// The address as a URL that may be shown: stars stand for the password.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match &self.address {
            Address::Tcp { .. } => "redis://",
            Address::Unix(_) => "unix://",
        };
        f.write_str(scheme)?;
        if let Some(Credentials { user, .. }) = &self.credentials {
            let user = user.as_deref().unwrap_or_default();
            write!(f, "{}:***@", user.escape_ascii())?;
        }
        match &self.address {
            Address::Tcp { host, port } if host.contains(':') => {
                write!(f, "[{host}]:{port}/{}", self.database)
            }
            Address::Tcp { host, port } => write!(f, "{host}:{port}/{}", self.database),
            Address::Unix(path) if self.database == 0 => write!(f, "{}", path.display()),
            Address::Unix(path) => write!(f, "{}?db={}", path.display(), self.database),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Target {
        Target::parse(text).unwrap_or_else(|problem| panic!("{text}: {problem}"))
    }

    #[test]
    fn addresses_are_read() {
        // Each with its address, its database and what is shown of it.
        let cases = [
            ("redis://localhost:6379/0", "localhost", 6379, 0),
            ("redis://localhost", "localhost", 6379, 0),
            ("redis://", "localhost", 6379, 0),
            ("redis:///3", "localhost", 6379, 3),
            ("redis://:pw@/3", "localhost", 6379, 3),
            ("REDIS://example.com:80/", "example.com", 80, 0),
            ("valkey://10.0.0.1:7000/15", "10.0.0.1", 7000, 15),
            ("redis://[::1]:7000/1", "::1", 7000, 1),
            ("redis://[::1]", "::1", 6379, 0),
            ("redis://h/1?db=2", "h", 6379, 2),
            ("redis://h?db=2&protocol=3", "h", 6379, 2),
        ];
        for (text, host, port, database) in cases {
            let target = parsed(text);
            let host = host.to_owned();
            assert_eq!(target.address, Address::Tcp { host, port }, "{text}");
            assert_eq!(target.database, database, "{text}");
        }
    }

    #[test]
    fn sockets_are_read() {
        let cases = [
            ("unix:///run/redis.sock", "/run/redis.sock", 0),
            ("redis+unix:///run/a%20b.sock?db=4", "/run/a b.sock", 4),
            ("unix://localhost/run/redis.sock", "/run/redis.sock", 0),
            ("unix://user:pw@/run/redis.sock?db=1", "/run/redis.sock", 1),
        ];
        for (text, path, database) in cases {
            let target = parsed(text);
            assert_eq!(target.address, Address::Unix(path.into()), "{text}");
            assert_eq!(target.database, database, "{text}");
        }
    }

    #[test]
    fn credentials_are_decoded() {
        let cases: &[(&str, Option<&str>, &str)] = &[
            ("redis://alice:secret@h", Some("alice"), "secret"),
            ("redis://:secret@h", None, "secret"),
            ("redis://secret@h", None, "secret"),
            ("redis://a%40b:s%2Fe%3Ac%25@h", Some("a@b"), "s/e:c%"),
            ("redis://alice:a+b@h", Some("alice"), "a+b"),
            ("redis://alice:100%@h", Some("alice"), "100%"),
            ("redis://alice:a@b@h", Some("alice"), "a@b"),
            ("unix://alice:secret@/s", Some("alice"), "secret"),
            ("unix:///s?user=alice&pass=secret", Some("alice"), "secret"),
            ("unix:///s?password=secret", None, "secret"),
        ];
        for (text, user, password) in cases {
            let target = parsed(text);
            let credentials = target.credentials.expect(text);
            let user = user.map(|user| user.as_bytes().to_vec());
            assert_eq!(credentials.user, user, "{text}");
            assert_eq!(credentials.password, password.as_bytes(), "{text}");
        }
        assert!(parsed("redis://localhost").credentials.is_none());
    }

    #[test]
    fn what_is_shown_hides_the_password() {
        let cases = [
            ("redis://alice:hunter2@h/1", "redis://alice:***@h:6379/1"),
            ("redis://:hunter2@h", "redis://:***@h:6379/0"),
            ("redis://hunter2@h", "redis://:***@h:6379/0"),
            ("valkey://[::1]", "redis://[::1]:6379/0"),
            ("unix:///s?db=1&pass=hunter2", "unix://:***@/s?db=1"),
            ("unix:///s", "unix:///s"),
        ];
        for (text, shown) in cases {
            assert_eq!(parsed(text).to_string(), shown);
            assert_eq!(format!("{:?}", parsed(text)), format!("Target({shown})"));
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let cases = [
            ("localhost:6379", "begins with redis://"),
            ("", "begins with redis://"),
            ("http://localhost", "begins with redis://"),
            ("rediss://hunter2@localhost", "TLS is not supported yet"),
            ("redis://:hunter2@h:port", "from 1 to 65535"),
            ("redis://localhost:99999", "from 1 to 65535"),
            ("redis://h:0", "from 1 to 65535"),
            ("redis://:hun/ter2@h", "percent-encoded"),
            ("redis://hun?ter2@h", "percent-encoded"),
            ("redis://hun#ter2@h", "percent-encoded"),
            ("redis://h/zero", "must be a number"),
            ("redis://h/1/2", "must be a number"),
            ("redis://h/-1", "must be a number"),
            ("redis://h?db=+1", "must be a number"),
            ("redis://h?db=", "must be a number"),
            ("unix://run/redis.sock", "three slashes"),
            ("unix://", "three slashes"),
        ];
        for (text, problem) in cases {
            let answer = Target::parse(text).expect_err(text);
            assert!(answer.contains(problem), "{text}: {answer}");
        }
    }

    #[test]
    fn hints_start_a_broker_where_it_was_looked_for() {
        let command = |text: &str| parsed(text).start_command();
        assert_eq!(command("redis://").as_deref(), Some("respd"));
        let port = "respd --port 1";
        assert_eq!(command("redis://127.0.0.2:1").as_deref(), Some(port));
        assert_eq!(command("redis://[::1]:1").as_deref(), Some(port));
        let socket = "respd --unixsocket /s";
        assert_eq!(command("unix:///s").as_deref(), Some(socket));
        // None can be started there.
        assert_eq!(command("redis://h"), None);
    }
}
