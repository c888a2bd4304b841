//! Scripts as programs run them: loaded once, and named by their SHA-1.

use crate::clients::{Connection, request};
use crate::result::Result;

/// A script and what it does.
#[derive(Clone, Copy)]
pub enum Script {
    /// One command.
    Get,
    /// Gives a lock back that is one's own.
    Release,
    /// Ten commands, as a limiter of rates has them.
    Limit,
    /// Reads an object of 1 KiB and writes it back.
    Json,
}

impl Script {
    fn text(self) -> &'static str {
        match self {
            Script::Get => "return redis.call('GET', KEYS[1])",
            Script::Release => {
                "if redis.call('GET', KEYS[1]) == ARGV[1] then \
                 return redis.call('DEL', KEYS[1]) else return 0 end"
            }
            Script::Limit => {
                "local count = redis.call('INCR', KEYS[1]) \
                 if count == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end \
                 local left = redis.call('TTL', KEYS[1]) \
                 redis.call('ZADD', KEYS[2], count % 100, count % 100) \
                 redis.call('ZREMRANGEBYSCORE', KEYS[2], 0, 10) \
                 local now = redis.call('ZCARD', KEYS[2]) \
                 redis.call('EXPIRE', KEYS[2], ARGV[1]) \
                 redis.call('HSET', KEYS[3], 'count', count, 'left', left) \
                 redis.call('HGET', KEYS[3], 'count') \
                 redis.call('EXISTS', KEYS[1], KEYS[3]) \
                 redis.call('PTTL', KEYS[2]) \
                 return {count, left, now}"
            }
            Script::Json => {
                "local object = cjson.decode(ARGV[1]) object.seen = true \
                 return #cjson.encode(object)"
            }
        }
    }

    /// Has a server know it; answers its SHA-1.
    pub fn load(self, connection: &mut Connection) -> Result<String> {
        let reply = connection.ask(&request(&["SCRIPT", "LOAD", self.text()]))?;
        let sha = reply.lines().nth(1).ok_or("no SHA-1")?;
        Ok(sha.to_owned())
    }
}

/// An object of about 1 KiB.
pub fn object() -> String {
    let user = |n: u32| {
        format!(r#""user{n}":{{"id":{n},"name":"name-{n}","active":true,"roles":["a","b"]}}"#)
    };
    let users: Vec<String> = (0..15).map(user).collect();
    format!("{{{}}}", users.join(","))
}
