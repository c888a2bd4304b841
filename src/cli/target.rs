//! Where a client verb connects to and which channel it means: `--url` and `--channel`, else
//! `REDIS_URL` and `CHANNEL` from the environment, else from `.env` in the current directory, else
//! the defaults.
//!
//! It opens no connection. A password leaves this module only through [`Target::credentials`]: no
//! text made here, errors and `Debug` included, shows it.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use url::Url;

const DEFAULT_URL: &str = "redis://localhost:6379/0";
const DEFAULT_CHANNEL: &str = "messages";
const DEFAULT_HOST: &str = "localhost";
const MALFORMED: &str =
    "not a valid address; special characters in a password must be percent-encoded";

/// The port that Redis listens on unless told otherwise.
pub const DEFAULT_PORT: u16 = 6379;

/// What `--help` says about addresses.
pub const HELP: &str = "\
REDIS_URL and CHANNEL are read from the environment, else from .env in the current directory.
Addresses: redis://[[USER]:PASSWORD@]HOST[:PORT][/DB], valkey:// alike, unix:///PATH[?db=DB].";

/// A broker's address, who to be there, and which database to use.
#[derive(Clone, PartialEq)]
pub struct Target {
    pub address: Address,
    pub database: u32,
    credentials: Option<Credentials>,
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

/// A setting that cannot be used: where it came from and what is wrong with it, in one line that
/// does not repeat the setting, because it may hold a password.
#[derive(Debug, PartialEq)]
pub struct Invalid {
    source: &'static str,
    problem: &'static str,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.problem)
    }
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
        let url = Url::parse(&format!("redis://{authority}{host}{path}")).map_err(|_| MALFORMED)?;

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

    pub fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// The command that starts a broker at this address, for a hint.
    pub fn start_command(&self) -> String {
        match &self.address {
            Address::Tcp {
                port: DEFAULT_PORT, ..
            } => "respd".to_owned(),
            Address::Tcp { port, .. } => format!("respd --port {port}"),
            Address::Unix(path) => format!("respd --unixsocket {}", path.display()),
        }
    }
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

/// Where settings come from when no flag gives them.
pub struct Environment {
    /// A variable of the process. An argument, because a test cannot set one safely.
    variable: fn(&str) -> Option<OsString>,
    dotenv: PathBuf,
}

impl Environment {
    /// The environment of this process and `.env` in its current directory, in no parent of it.
    pub fn of_process() -> Environment {
        Environment {
            variable: |name| std::env::var_os(name),
            dotenv: PathBuf::from(".env"),
        }
    }

    /// The broker that a verb is to use.
    pub fn target(&self, url: Option<&OsStr>) -> Result<Target, Invalid> {
        let (text, source) = match self.setting(url, "--url", "REDIS_URL")? {
            Some(setting) => setting,
            None => (DEFAULT_URL.into(), "the default address"),
        };
        let invalid = |problem| Invalid { source, problem };
        let text = text.to_str().ok_or(invalid("not UTF-8"))?;
        Target::parse(text.trim()).map_err(invalid)
    }

    /// The channel that a verb is to use. Any bytes name one.
    pub fn channel(&self, channel: Option<&OsStr>) -> Result<Vec<u8>, Invalid> {
        let setting = self.setting(channel, "--channel", "CHANNEL")?;
        Ok(match setting {
            Some((channel, _)) => channel.into_vec(),
            None => DEFAULT_CHANNEL.into(),
        })
    }

    /// A value and where it comes from. A variable that is set to nothing counts as not set: that
    /// is what `REDIS_URL=$UNSET` and a blank line of a template leave behind.
    fn setting(
        &self,
        given: Option<&OsStr>,
        flag: &'static str,
        name: &'static str,
    ) -> Result<Option<(OsString, &'static str)>, Invalid> {
        if let Some(value) = given {
            return Ok(Some((value.to_owned(), flag)));
        }
        if let Some(value) = (self.variable)(name).filter(|value| !value.is_empty()) {
            return Ok(Some((value, name)));
        }
        let value = read_dotenv(&self.dotenv, name)?;
        let value = value.filter(|value| !value.is_empty());
        Ok(value.map(|value| (value.into(), ".env")))
    }
}

/// One variable of a `.env` file. The first line that sets it wins, as everywhere where such a file
/// never overrides what is already set. Lines that cannot be read matter only if they set this
/// variable: the file has other readers.
fn read_dotenv(path: &Path, name: &'static str) -> Result<Option<String>, Invalid> {
    let invalid = |problem| Invalid {
        source: ".env",
        problem,
    };
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        // A directory of that name, such as a virtual environment of Python, is not ours to read.
        Err(error) if error.kind() == std::io::ErrorKind::IsADirectory => return Ok(None),
        Err(_) => return Err(invalid("cannot be read")),
    };
    let text = String::from_utf8_lossy(&bytes);
    // Without an end, a last line with a space behind it would be refused.
    let text = text.trim_start_matches('\u{feff}').to_owned() + "\n";
    let mut all_read = true;
    for line in dotenvy::from_read_iter(text.as_bytes()) {
        match line {
            Ok((key, value)) if key == name => return Ok(Some(value)),
            Ok(_) => {}
            Err(_) => all_read = false,
        }
    }
    // The error does not tell which variable it is about.
    if !all_read && text.lines().any(|line| sets(line, name)) {
        return Err(invalid(match name {
            "CHANNEL" => "CHANNEL cannot be read; are quotes missing, or open?",
            _ => "REDIS_URL cannot be read; are quotes missing, or open?",
        }));
    }
    Ok(None)
}

/// Whether a line is an assignment to `name`.
fn sets(line: &str, name: &str) -> bool {
    let line = line.trim_start();
    let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
    line.strip_prefix(name)
        .is_some_and(|rest| rest.trim_start().starts_with('='))
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
            let credentials = target.credentials().expect(text);
            let user = user.map(|user| user.as_bytes().to_vec());
            assert_eq!(credentials.user, user, "{text}");
            assert_eq!(credentials.password, password.as_bytes(), "{text}");
        }
        assert!(parsed("redis://localhost").credentials().is_none());
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
            ("redis://:hunter2@h:port", "percent-encoded"),
            ("redis://:hun/ter2@h", "percent-encoded"),
            ("redis://hun?ter2@h", "percent-encoded"),
            ("redis://hun#ter2@h", "percent-encoded"),
            ("redis://h:70000", "percent-encoded"),
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
        assert_eq!(parsed("redis://h").start_command(), "respd");
        assert_eq!(parsed("redis://h:1").start_command(), "respd --port 1");
        assert_eq!(parsed("unix:///s").start_command(), "respd --unixsocket /s");
    }

    /// An environment with a `.env` file, and the directory that keeps it alive.
    fn environment(
        variable: fn(&str) -> Option<OsString>,
        dotenv: &str,
    ) -> (Environment, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(".env");
        std::fs::write(&path, dotenv).unwrap();
        let environment = Environment {
            variable,
            dotenv: path,
        };
        (environment, directory)
    }

    fn channel(environment: &Environment, flag: Option<&str>) -> String {
        let channel = environment.channel(flag.map(OsStr::new)).unwrap();
        String::from_utf8(channel).unwrap()
    }

    #[test]
    fn a_flag_wins_over_the_environment_and_that_over_the_file() {
        let (environment_set, _directory) =
            environment(|_| Some("environment".into()), "CHANNEL=file\n");
        assert_eq!(channel(&environment_set, Some("flag")), "flag");
        assert_eq!(channel(&environment_set, None), "environment");
        let (unset, _directory) = environment(|_| None, "CHANNEL=file \nCHANNEL=again ");
        assert_eq!(channel(&unset, None), "file");
        let (blank, _directory) = environment(|_| Some("".into()), "CHANNEL=file\n");
        assert_eq!(channel(&blank, None), "file");
        let (empty, _directory) = environment(|_| None, "CHANNEL=\n");
        assert_eq!(channel(&empty, None), "messages");
        assert_eq!(
            empty.target(None).unwrap().to_string(),
            "redis://localhost:6379/0"
        );
    }

    #[test]
    fn a_file_with_lines_of_others_is_read() {
        let dotenv = "\u{feff}CHANNEL='a b' # ours\nnot a line\nBAD=a b\n\
                      export REDIS_URL=\"redis://:pw@h/2\"\n";
        let (environment, _directory) = environment(|_| None, dotenv);
        assert_eq!(channel(&environment, None), "a b");
        let target = environment.target(None).unwrap();
        assert_eq!(target.to_string(), "redis://:***@h:6379/2");
    }

    #[test]
    fn a_broken_setting_is_named_without_its_value() {
        let (environment, _directory) =
            environment(|_| None, "REDIS_URL=redis://:hunter2 x@h\nCHANNEL='open\n");
        let error = environment.target(None).unwrap_err().to_string();
        assert!(error.starts_with(".env: REDIS_URL"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
        let error = environment.channel(None).unwrap_err().to_string();
        assert!(error.starts_with(".env: CHANNEL"), "{error}");
        let error = environment
            .target(Some(OsStr::new("redis://:hunter2@h:x")))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("--url: "), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn no_file_is_no_error() {
        let directory = tempfile::tempdir().unwrap();
        for dotenv in [directory.path().join(".env"), directory.path().into()] {
            let environment = Environment {
                variable: |_| None,
                dotenv,
            };
            assert_eq!(channel(&environment, None), "messages");
        }
    }
}
