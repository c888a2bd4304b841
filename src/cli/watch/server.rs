//! What INFO, CLIENT LIST and SLOWLOG GET say, taken apart.
//!
//! A field that a server does not have, because it is older or another, is zero or empty: no view
//! fails for it.

use std::collections::HashMap;
use std::time::Duration;

use respd::resp::value::Value;

use super::ask::is_asked;
use super::monitored::Kind;

/// The broker as a whole. What counts up does so since it started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Server {
    /// With its name in front.
    pub version: String,
    pub uptime: Duration,
    pub clients: u64,
    pub blocked: u64,
    pub memory: u64,
    /// Zero for no limit.
    pub max_memory: u64,
    pub commands_per_second: u64,
    pub commands: u64,
    pub hits: u64,
    pub misses: u64,
    pub expired: u64,
    pub evicted: u64,
    pub channels: u64,
    pub shard_channels: u64,
    /// In the database that is watched.
    pub keys: u64,
}

impl Server {
    pub fn parse(info: &[u8], database: u32) -> Server {
        let info = String::from_utf8_lossy(info);
        let fields: HashMap<&str, &str> = info
            .lines()
            .filter_map(|line| line.trim_end().split_once(':'))
            .collect();
        let number = |name: &str| fields.get(name).and_then(|text| text.parse().ok());
        let number = |name: &str| number(name).unwrap_or(0);
        let text = |name: &str| fields.get(name).copied().unwrap_or_default();
        let keys = text(&format!("db{database}"))
            .split(',')
            .find_map(|field| field.strip_prefix("keys="))
            .and_then(|keys| keys.parse().ok());
        // Whoever is not Redis names its version as well as the one that it is like.
        let version = [
            ("respd", "respd_version"),
            ("Valkey", "valkey_version"),
            ("Redis", "redis_version"),
        ]
        .into_iter()
        .find_map(|(name, field)| Some(format!("{name} {}", fields.get(field)?)));
        Server {
            version: version.unwrap_or_default(),
            uptime: Duration::from_secs(number("uptime_in_seconds")),
            clients: number("connected_clients"),
            blocked: number("blocked_clients"),
            memory: number("used_memory"),
            max_memory: number("maxmemory"),
            commands_per_second: number("instantaneous_ops_per_sec"),
            commands: number("total_commands_processed"),
            hits: number("keyspace_hits"),
            misses: number("keyspace_misses"),
            expired: number("expired_keys"),
            evicted: number("evicted_keys"),
            channels: number("pubsub_channels"),
            shard_channels: number("pubsubshard_channels"),
            keys: keys.unwrap_or(0),
        }
    }

    /// What was done since an INFO before this one. Nothing is known if it has been restarted, or
    /// its counters reset.
    pub fn since(&self, before: &Server, during: Duration) -> Option<Others> {
        Some(Others {
            during,
            // One of the two INFOs is among them: Redis counts a command when it is done.
            commands: self
                .commands
                .checked_sub(before.commands)?
                .saturating_sub(1),
            hits: self.hits.checked_sub(before.hits)?,
            misses: self.misses.checked_sub(before.misses)?,
        })
    }
}

/// What others had the server do while the watch asked for nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Others {
    pub during: Duration,
    pub commands: u64,
    pub hits: u64,
    pub misses: u64,
}

impl Others {
    pub fn commands_per_second(&self) -> u64 {
        let seconds = self.during.as_secs_f64().max(0.001);
        (self.commands as f64 / seconds).round() as u64
    }
}

/// One connection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Client {
    pub id: u64,
    pub address: String,
    pub name: String,
    pub age: Duration,
    pub idle: Duration,
    pub is_blocked: bool,
    pub patterns: u64,
    pub command: String,
    pub memory: u64,
    /// What the server holds for it to read.
    pub output: u64,
    /// Everything, in the order of the server.
    pub fields: Vec<(String, String)>,
}

impl Client {
    pub fn parse(line: &str) -> Client {
        let fields: Vec<(String, String)> = line
            .split(' ')
            .filter_map(|field| field.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let text = |name: &str| {
            let field = fields.iter().find(|field| field.0 == name);
            field.map_or("", |field| &field.1)
        };
        let number = |name: &str| text(name).parse().unwrap_or(0);
        Client {
            id: number("id"),
            address: text("addr").to_owned(),
            name: text("name").to_owned(),
            age: Duration::from_secs(number("age")),
            idle: Duration::from_secs(number("idle")),
            is_blocked: text("flags").contains('b'),
            patterns: number("psub"),
            command: text("cmd").replace('|', " "),
            memory: number("tot-mem"),
            output: number("omem"),
            fields,
        }
    }

    /// What it is blocked for, where the panes have it.
    pub fn waits_for(&self) -> Option<Kind> {
        Kind::of(&self.command).filter(|_| self.is_blocked)
    }

    pub fn parse_list(list: &[u8]) -> Vec<Client> {
        let list = String::from_utf8_lossy(list);
        let lines = list.lines().filter(|line| !line.is_empty());
        lines.map(Client::parse).collect()
    }
}

/// One entry of the log of slow commands.
#[derive(Clone, Debug, PartialEq)]
pub struct Slow {
    pub id: i64,
    /// In seconds since 1970.
    pub at: i64,
    pub took: Duration,
    pub arguments: Vec<Vec<u8>>,
    pub client: String,
}

impl Slow {
    pub fn parse_list(log: &Value) -> Vec<Slow> {
        let Value::Array(entries) = log else {
            return Vec::new();
        };
        let entries = entries.iter().filter_map(Slow::parse);
        entries.filter(|slow| !is_asked(&slow.arguments)).collect()
    }

    fn parse(entry: &Value) -> Option<Slow> {
        let Value::Array(parts) = entry else {
            return None;
        };
        let [id, at, took, arguments, rest @ ..] = &parts[..] else {
            return None;
        };
        let (Value::Integer(id), Value::Integer(at), Value::Integer(took)) = (id, at, took) else {
            return None;
        };
        let Value::Array(arguments) = arguments else {
            return None;
        };
        let bytes = |value: &Value| value.as_bytes().unwrap_or_default().to_vec();
        // Since Redis 4.0: the address, and the name, which many do not have.
        let client = rest.first().map(bytes).unwrap_or_default();
        Some(Slow {
            id: *id,
            at: *at,
            took: Duration::from_micros(u64::try_from(*took).unwrap_or(0)),
            arguments: arguments.iter().map(bytes).collect(),
            client: String::from_utf8_lossy(&client).into_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_is_taken_apart() {
        let info = b"# Server\r\nredis_version:7.0.15\r\nuptime_in_seconds:90\r\n\r\n\
                     # Memory\r\nused_memory:1000\r\nmaxmemory:0\r\n# Stats\r\n\
                     instantaneous_ops_per_sec:12\r\nkeyspace_hits:3\r\nodd line\r\n\
                     # Keyspace\r\ndb0:keys=1,expires=0,avg_ttl=0\r\n\
                     db2:keys=17,expires=1,avg_ttl=5\r\n";
        let server = Server::parse(info, 2);
        let expected = Server {
            version: "Redis 7.0.15".to_owned(),
            uptime: Duration::from_secs(90),
            memory: 1000,
            commands_per_second: 12,
            hits: 3,
            keys: 17,
            ..Server::default()
        };
        assert_eq!(server, expected);
        let later = Server {
            commands: 10,
            hits: 5,
            ..server.clone()
        };
        let others = later.since(&server, Duration::from_millis(500)).unwrap();
        assert_eq!((others.commands, others.hits, others.misses), (9, 2, 0));
        assert_eq!(others.commands_per_second(), 18);
        assert_eq!(server.since(&later, Duration::ZERO), None);
        assert_eq!(Server::parse(info, 1).keys, 0);
        assert_eq!(Server::parse(b"\xff:\xff\n:", 0), Server::default());
    }

    #[test]
    fn clients_are_taken_apart() {
        let list = b"id=4 addr=127.0.0.1:48728 fd=8 name= age=61 idle=1 flags=b sub=0 psub=2 \
                     cmd=client|list tot-mem=22314\nid=5 addr=/a b:0 name=w flags=N\n";
        let clients = Client::parse_list(list);
        assert_eq!(clients.len(), 2);
        let first = &clients[0];
        assert_eq!(
            (first.id, &*first.address, &*first.command),
            (4, "127.0.0.1:48728", "client list")
        );
        assert_eq!((first.age.as_secs(), first.memory), (61, 22314));
        assert_eq!((first.is_blocked, first.patterns), (true, 2));
        assert_eq!(first.waits_for(), None);
        assert_eq!((&*clients[1].name, clients[1].is_blocked), ("w", false));
    }

    #[test]
    fn slow_commands_are_taken_apart() {
        let text = |text: &'static str| Value::Bulk(text.into());
        let entry = Value::Array(vec![
            Value::Integer(7),
            Value::Integer(1_700_000_000),
            Value::Integer(12_345),
            Value::Array(vec![text("keys"), text("*")]),
            text("127.0.0.1:1"),
            text(""),
        ]);
        let odd = Value::Array(vec![text("odd")]);
        let ours = Value::Array(vec![
            Value::Integer(8),
            Value::Integer(1),
            Value::Integer(1),
            Value::Array(vec![text("iNFO")]),
        ]);
        let log = Slow::parse_list(&Value::Array(vec![entry, odd, ours]));
        assert_eq!(log.len(), 1);
        assert_eq!(log[0].took, Duration::from_micros(12_345));
        assert_eq!(log[0].arguments, [b"keys".to_vec(), b"*".to_vec()]);
        assert_eq!(log[0].client, "127.0.0.1:1");
    }
}
