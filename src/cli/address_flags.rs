//! The flags that say which broker a client verb is for, as redis-cli and psql have them, and where
//! each is looked up that is not given.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use clap::{ArgAction, Args};

use super::environment::{Environment, FILE, Invalid};
use super::target::{Address, Credentials, DEFAULT_HOST, DEFAULT_PORT, PORT, Target};

/// What `--help` says about addresses.
pub const HELP: &str = "\
Addresses: redis://[[USER]:PASSWORD@]HOST[:PORT][/DB], valkey:// alike, unix:///PATH[?db=DB].
Without --url, -h and -p: REDIS_URL; else REDIS_HOST, REDIS_PORT, REDIS_DB, REDIS_USERNAME and \
REDIS_PASSWORD (or REDISCLI_AUTH). These and CHANNEL are read from the environment, else from .env \
in the current directory. An address that is a URL takes nothing from the others.
-h is the host, as in redis-cli and psql; -h without one, and --help, show the help.";

#[derive(Args, Default)]
#[command(next_help_heading = "Broker")]
pub struct Flags {
    /// The broker's address [default: REDIS_URL, or redis://localhost:6379/0]
    #[arg(short, long, conflicts_with_all = ["host", "port"])]
    url: Option<OsString>,

    /// Its host, or the path of its socket [default: REDIS_HOST, or localhost]
    #[arg(short = 'h', long)]
    host: Option<String>,

    /// Its port [default: REDIS_PORT, or 6379]
    #[arg(short, long, value_parser = port)]
    port: Option<u16>,

    /// The number of the database [default: that of the address, or 0]
    #[arg(short = 'n', long = "db", value_name = "DB")]
    database: Option<u32>,

    /// The password; REDIS_PASSWORD does not show in the list of processes
    #[arg(short = 'a', long = "pass", value_name = "PASSWORD")]
    password: Option<OsString>,

    /// The user, where there are several
    #[arg(long)]
    user: Option<OsString>,

    /// Print help
    #[arg(long, action = ArgAction::Help, help_heading = None::<&str>)]
    help: Option<bool>,
}

/// A host, which many expect to take more, or the path of a socket.
fn host(text: &str) -> Result<String, &'static str> {
    if text.contains("://") {
        return Err("an address goes with --url or REDIS_URL");
    }
    // An address of IPv6 has more than one colon.
    match text.split_once(':') {
        Some((host, port)) if !host.contains('/') && !port.contains(':') => {
            Err("the port goes with -p or REDIS_PORT")
        }
        _ => Ok(text.to_owned()),
    }
}

fn port(text: &str) -> Result<u16, &'static str> {
    match text.parse() {
        Ok(0) | Err(_) => Err(PORT),
        Ok(port) => Ok(port),
    }
}

impl Flags {
    /// The broker that a verb is to use.
    pub fn target(&self, environment: &Environment) -> Result<Target, Invalid> {
        let names_parts = self.host.is_some() || self.port.is_some();
        let url = match &self.url {
            Some(url) => Some((url.clone(), "--url")),
            None if names_parts => None,
            None => environment.setting("REDIS_URL")?,
        };
        let mut target = match url {
            Some((url, source)) => parse(source, &url, Target::parse)?,
            // A password must not go to another broker than the one it was written beside, so a
            // URL is taken as a whole or not at all.
            None => self.put_together(environment)?,
        };
        if let Some(database) = self.database {
            target.database = database;
        }
        if let Some(password) = self.password.clone() {
            let user = target.credentials.take().and_then(|given| given.user);
            let password = password.into_vec();
            target.credentials = Some(Credentials { user, password });
        }
        if let Some(user) = self.user.clone() {
            let credentials = target.credentials.as_mut().ok_or(Invalid {
                source: "--user",
                problem: "without a password; give it with -a or REDIS_PASSWORD".into(),
            })?;
            credentials.user = Some(user.into_vec());
        }
        Ok(target)
    }

    fn put_together(&self, environment: &Environment) -> Result<Target, Invalid> {
        let host_set = match &self.host {
            Some(_) => None,
            None => environment.setting("REDIS_HOST")?,
        };
        let port_set = match self.port {
            Some(_) => None,
            // Kubernetes and old Docker set it to tcp://ADDRESS:PORT beside a service "redis".
            None => environment
                .setting("REDIS_PORT")?
                .filter(|(text, _)| !text.as_encoded_bytes().starts_with(b"tcp://")),
        };
        // The folder that one is in may be somebody else's: a file there must not have a password
        // sent to a broker of its choice.
        let is_of_file = [&host_set, &port_set]
            .iter()
            .any(|set| set.as_ref().is_some_and(|(_, source)| *source == FILE));
        let host_given = self.host.as_ref().map(|given| (given.into(), "--host"));
        let host = match host_given.or(host_set) {
            Some((text, source)) => parse(source, &text, host)?,
            None => DEFAULT_HOST.to_owned(),
        };
        let port = match (self.port, port_set) {
            (Some(port), _) => port,
            (None, Some((text, source))) => parse(source, &text, port)?,
            (None, None) => DEFAULT_PORT,
        };
        let database = match environment.setting("REDIS_DB")? {
            Some((text, source)) => parse(source, &text, |text| {
                text.parse().map_err(|_| "the database must be a number")
            })?,
            None => 0,
        };
        let secret = |name| match is_of_file {
            true => environment.setting_in_file(name),
            false => Ok(environment.setting(name)?.map(|(value, _)| value)),
        };
        let password = match secret("REDIS_PASSWORD")? {
            None => secret("REDISCLI_AUTH")?,
            password => password,
        };
        let user = secret("REDIS_USERNAME")?;
        let credentials = password.map(|password| Credentials {
            user: user.map(OsString::into_vec),
            password: password.into_vec(),
        });
        let address = match host.starts_with('/') {
            true => Address::Unix(host.into()),
            false => Address::Tcp { host, port },
        };
        Ok(Target {
            address,
            database,
            credentials,
        })
    }
}

/// A value of `source`, which is a text.
fn parse<T>(
    source: &'static str,
    text: &OsString,
    parser: impl Fn(&str) -> Result<T, &'static str>,
) -> Result<T, Invalid> {
    let parsed = text.to_str().ok_or("not UTF-8");
    let parsed = parsed.and_then(|text| parser(text.trim()));
    parsed.map_err(|problem| Invalid {
        source,
        problem: problem.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::environment::tests::environment;
    use super::*;

    fn flags(host: Option<&str>, port: Option<u16>) -> Flags {
        Flags {
            host: host.map(str::to_owned),
            port,
            ..Flags::default()
        }
    }

    #[test]
    fn a_file_has_no_password_of_the_environment_sent_to_its_host() {
        let secret = |name: &str| (name == "REDIS_PASSWORD").then(|| "hunter2".into());
        for (file, expected) in [
            ("", "redis://:***@localhost:6379/0"),
            ("REDIS_HOST=h", "redis://h:6379/0"),
            ("REDIS_PORT=7", "redis://localhost:7/0"),
            ("REDIS_HOST=h\nREDIS_PASSWORD=p", "redis://:***@h:6379/0"),
        ] {
            let (environment, _directory) = environment(secret, file);
            let target = flags(None, None).target(&environment).unwrap();
            assert_eq!(target.to_string(), expected, "{file}");
        }
    }

    #[test]
    fn flags_win_over_variables_and_a_url_is_taken_whole() {
        let parts = "REDIS_HOST=h\nREDIS_PORT=7\nREDIS_DB=2\nREDIS_PASSWORD=p\nREDIS_USERNAME=u\n";
        let url = format!("{parts}REDIS_URL=redis://:pw@other:8/4\n");
        // Each with the flags, what the environment has, and the broker that is meant.
        let cases = [
            (flags(None, None), "", "redis://localhost:6379/0"),
            (flags(None, None), parts, "redis://u:***@h:7/2"),
            (flags(Some("x"), None), parts, "redis://u:***@x:7/2"),
            (flags(None, None), &url, "redis://:***@other:8/4"),
            (flags(None, Some(9)), &url, "redis://u:***@h:9/2"),
            (
                flags(None, Some(9)),
                "REDIS_URL=redis://:pw@other",
                "redis://localhost:9/0",
            ),
            (flags(Some("/run/s"), None), "", "unix:///run/s"),
            (flags(Some("/run/a:b"), None), "", "unix:///run/a:b"),
            (
                flags(Some("::1"), None),
                "REDISCLI_AUTH=p",
                "redis://:***@[::1]:6379/0",
            ),
            (
                flags(None, None),
                "REDIS_PORT=tcp://10.0.0.1:7",
                "redis://localhost:6379/0",
            ),
        ];
        for (flags, dotenv, target) in cases {
            let (environment, _directory) = environment(|_| None, dotenv);
            assert_eq!(
                flags.target(&environment).unwrap().to_string(),
                target,
                "{dotenv}"
            );
        }
    }

    #[test]
    fn database_and_password_refine_any_address() {
        let (environment, _directory) = environment(|_| None, "REDIS_URL=redis://alice:old@h/1");
        let flags = Flags {
            database: Some(3),
            password: Some("new".into()),
            ..Flags::default()
        };
        let target = flags.target(&environment).unwrap();
        assert_eq!(target.to_string(), "redis://alice:***@h:6379/3");
        assert_eq!(target.credentials.unwrap().password, b"new");
    }

    #[test]
    fn what_cannot_be_used_is_named_without_its_value() {
        let cases = [
            (Some("redis://:hunter2@h:x"), "", "--url: the port must be"),
            (
                None,
                "REDIS_URL=redis://hunter2/x",
                ".env: the database must be",
            ),
            (None, "REDIS_PORT=hunter2", ".env: the port must be"),
            (None, "REDIS_HOST=hunter2:7000", ".env: the port goes with"),
            (None, "REDIS_DB=-1", ".env: the database must be"),
        ];
        for (given, problem) in [
            ("h:7000", "--host: the port goes with -p or REDIS_PORT"),
            (
                "redis://:hunter2@h",
                "--host: an address goes with --url or REDIS_URL",
            ),
        ] {
            let (environment, _directory) = environment(|_| None, "");
            let error = flags(Some(given), None).target(&environment).unwrap_err();
            assert_eq!(error.to_string(), problem);
        }
        for (url, variable, expected) in cases {
            let (environment, _directory) = environment(|_| None, variable);
            let flags = Flags {
                url: url.map(OsString::from),
                ..Flags::default()
            };
            let error = flags.target(&environment).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let (environment, _directory) = environment(|_| None, "");
        let flags = Flags {
            user: Some("alice".into()),
            ..Flags::default()
        };
        let error = flags.target(&environment).unwrap_err().to_string();
        assert!(error.contains("without a password"), "{error}");
    }
}
