//! Keys from JSON that names the type, the value and the time to live of each,
//! as the commands that store them.
//!
//! ```json
//! {
//!     "greeting": {"type": "string", "value": "hello", "ttl": 60},
//!     "jobs": {"type": "list", "value": ["one", "two"]},
//!     "cart": {"type": "hash", "value": {"apples": 3, "pears": {"value": 1, "ttl": 0.5}}},
//!     "tags": {"type": "set", "value": ["new", "red"], "db": 1},
//!     "scores": {"type": "zset", "value": {"ann": 1.5}},
//!     "events": {"type": "stream", "value": [{"id": "1-1", "fields": {"kind": "login"}}],
//!                "groups": {"workers": "0"}}
//! }
//! ```

use serde_json::{Map, Value};

/// A request: its words.
pub type Words = Vec<Vec<u8>>;

type Result<T> = std::result::Result<T, String>;

/// The commands that store each key instead of whatever it has, for a client
/// that has the database `selected`. Before each stands what an error is to
/// name: `key "jobs"`.
///
/// # Errors
///
/// What is wrong, and where.
pub fn commands(text: &[u8], selected: usize) -> Result<Vec<(String, Words)>> {
    let json: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let Value::Object(keys) = json else {
        return Err("an object of keys is expected".into());
    };
    let mut commands = Vec::new();
    let mut current = selected as u64;
    for (key, spec) in &keys {
        let place = format!("key {key:?}");
        let spec = Spec::of(spec).map_err(|error| format!("{place}: {error}"))?;
        let db = spec.db.unwrap_or(selected as u64);
        let mut stores = vec![words(["DEL", key])];
        if std::mem::replace(&mut current, db) != db {
            stores.insert(0, words(["SELECT", &db.to_string()]));
        }
        let stored = spec.store(key).map_err(|error| format!("{place}: {error}"));
        stores.extend(stored?);
        commands.extend(stores.into_iter().map(|words| (place.clone(), words)));
    }
    Ok(commands)
}

/// What is said of a key.
struct Spec<'j> {
    kind: &'j str,
    value: &'j Value,
    ttl_ms: Option<i64>,
    db: Option<u64>,
    groups: Option<&'j Map<String, Value>>,
}

impl<'j> Spec<'j> {
    fn of(json: &'j Value) -> Result<Spec<'j>> {
        let members = object(json)?;
        knows(members, &["type", "value", "ttl", "db", "groups"])?;
        let kind = members.get("type").and_then(Value::as_str);
        let db = members
            .get("db")
            .map(|db| db.as_u64().ok_or("\"db\" is to be a number"));
        Ok(Spec {
            kind: kind.ok_or("\"type\" is to be the name of one")?,
            value: members.get("value").ok_or("\"value\" is missing")?,
            ttl_ms: members.get("ttl").map(ttl_ms).transpose()?,
            db: db.transpose()?,
            groups: members.get("groups").map(object).transpose()?,
        })
    }

    fn store(&self, key: &str) -> Result<Vec<Words>> {
        let mut all = Vec::new();
        let one = match self.kind {
            "string" => words(["SET", key, &scalar(self.value)?]),
            "list" => with(["RPUSH", key], elements(self.value)?),
            "set" => with(["SADD", key], elements(self.value)?),
            "zset" => {
                let scores = object(self.value)?.iter();
                let pairs = scores.map(|(member, score)| Ok([scalar(score)?, member.clone()]));
                with(["ZADD", key], pairs.collect::<Result<Vec<_>>>()?.concat())
            }
            "hash" => {
                let fields = object(self.value)?;
                let values = fields.iter().map(|(field, value)| {
                    let value = value.get("value").unwrap_or(value);
                    Ok([field.clone(), scalar(value)?])
                });
                with(["HSET", key], values.collect::<Result<Vec<_>>>()?.concat())
            }
            "stream" => return self.store_stream(key),
            kind => return Err(format!("{kind:?} is no type that a key can have")),
        };
        if self.groups.is_some() {
            return Err("only a stream has groups".into());
        }
        all.push(one);
        all.extend(self.field_times(key)?);
        all.extend(self.expiry(key));
        Ok(all)
    }

    fn store_stream(&self, key: &str) -> Result<Vec<Words>> {
        let mut all = Vec::new();
        for entry in array(self.value)? {
            let entry = object(entry)?;
            knows(entry, &["id", "fields"])?;
            let id = entry.get("id").map_or(Ok("*".to_owned()), scalar)?;
            let fields = entry
                .get("fields")
                .ok_or("an entry is to have \"fields\"")?;
            let fields = object(fields)?.iter();
            let pairs = fields.map(|(field, value)| Ok([field.clone(), scalar(value)?]));
            let pairs = pairs.collect::<Result<Vec<_>>>()?.concat();
            all.push(with(["XADD", key, &id], pairs));
        }
        for (group, id) in self.groups.into_iter().flatten() {
            all.push(words([
                "XGROUP",
                "CREATE",
                key,
                group,
                &scalar(id)?,
                "MKSTREAM",
            ]));
        }
        all.extend(self.expiry(key));
        Ok(all)
    }

    /// What gives the fields of a hash their times that have one.
    fn field_times(&self, key: &str) -> Result<Vec<Words>> {
        let fields = self.value.as_object().filter(|_| self.kind == "hash");
        let timed = fields
            .into_iter()
            .flatten()
            .filter(|(_, value)| value.is_object());
        let times = timed.map(|(field, value)| {
            knows(object(value)?, &["value", "ttl"])?;
            let ttl = value
                .get("ttl")
                .ok_or("a field with members is to have \"ttl\"")?;
            let ttl = ttl_ms(ttl)?.to_string();
            Ok(words(["HPEXPIRE", key, &ttl, "FIELDS", "1", field]))
        });
        times.collect()
    }

    fn expiry(&self, key: &str) -> Option<Words> {
        let ttl = self.ttl_ms?.to_string();
        Some(words(["PEXPIRE", key, &ttl]))
    }
}

fn words<const N: usize>(words: [&str; N]) -> Words {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

fn with<const N: usize>(first: [&str; N], rest: Vec<String>) -> Words {
    let mut words = words(first);
    words.extend(rest.into_iter().map(String::into_bytes));
    words
}

fn object(json: &Value) -> Result<&Map<String, Value>> {
    json.as_object()
        .ok_or_else(|| format!("an object is expected, not {json:.40}"))
}

fn array(json: &Value) -> Result<&Vec<Value>> {
    json.as_array()
        .ok_or_else(|| format!("an array is expected, not {json:.40}"))
}

fn elements(json: &Value) -> Result<Vec<String>> {
    array(json)?.iter().map(scalar).collect()
}

/// A string, or a number in the digits that stand there.
fn scalar(json: &Value) -> Result<String> {
    match json {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(format!("a string or a number is expected, not {json:.40}")),
    }
}

/// Seconds, in milliseconds.
fn ttl_ms(json: &Value) -> Result<i64> {
    let ms = json.as_f64().map(|seconds| seconds * 1000.0);
    let ms = ms.filter(|ms| *ms >= 1.0).map(|ms| ms.round() as i64);
    ms.ok_or_else(|| "\"ttl\" is to be a number of seconds above 0".to_owned())
}

/// Refuses members that mean nothing: they would be mistyped.
fn knows(members: &Map<String, Value>, known: &[&str]) -> Result<()> {
    match members.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(format!("{name:?} means nothing here, but {known:?} would")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let commands = commands(text.as_bytes(), 0);
        let commands = commands.map(|commands| {
            let lines = commands.into_iter().map(|(_, words)| {
                let words = words
                    .iter()
                    .map(|word| String::from_utf8_lossy(word).into_owned());
                words.collect::<Vec<_>>().join(" ")
            });
            lines.collect::<Vec<_>>().join("; ")
        });
        commands.unwrap_or_else(|error| error)
    }

    #[test]
    fn a_key_of_each_type_is_stored_and_what_is_wrong_is_told() {
        for (json, expected) in [
            (
                r#"{"k": {"type": "string", "value": 7, "ttl": 1.5}}"#,
                "DEL k; SET k 7; PEXPIRE k 1500",
            ),
            (
                r#"{"k": {"type": "list", "value": ["a", 1.0]}}"#,
                "DEL k; RPUSH k a 1.0",
            ),
            (
                r#"{"k": {"type": "set", "value": ["a"], "db": 2}}"#,
                "SELECT 2; DEL k; SADD k a",
            ),
            (
                r#"{"a": {"type": "string", "value": "", "db": 2}, "b": {"type": "string", "value": ""}}"#,
                "SELECT 2; DEL a; SET a ; SELECT 0; DEL b; SET b ",
            ),
            (
                r#"{"k": {"type": "zset", "value": {"m": 1.5}}}"#,
                "DEL k; ZADD k 1.5 m",
            ),
            (
                r#"{"k": {"type": "hash", "value": {"f": "v", "g": {"value": 1, "ttl": 2}}}}"#,
                "DEL k; HSET k f v g 1; HPEXPIRE k 2000 FIELDS 1 g",
            ),
            (
                r#"{"k": {"type": "stream", "value": [{"id": "1-1", "fields": {"f": "v"}},
                    {"fields": {"f": "w"}}], "groups": {"g": 0}}}"#,
                "DEL k; XADD k 1-1 f v; XADD k * f w; XGROUP CREATE k g 0 MKSTREAM",
            ),
            (
                r#"{"k": {"type": "bag", "value": []}}"#,
                r#"key "k": "bag" is no type that a key can have"#,
            ),
            (
                r#"{"k": {"type": "list", "value": [], "tlt": 1}}"#,
                r#"key "k": "tlt" means nothing here, but ["type", "value", "ttl", "db", "groups"] would"#,
            ),
            (
                r#"{"k": {"type": "list", "value": [[]]}}"#,
                r#"key "k": a string or a number is expected, not []"#,
            ),
            (
                r#"{"k": {"value": []}}"#,
                r#"key "k": "type" is to be the name of one"#,
            ),
            (
                r#"{"k": {"type": "list"}}"#,
                r#"key "k": "value" is missing"#,
            ),
            (
                r#"{"k": {"type": "string", "value": "", "ttl": 0}}"#,
                r#"key "k": "ttl" is to be a number of seconds above 0"#,
            ),
            ("[]", "an object of keys is expected"),
            ("{\n\"k\": 1,}", "trailing comma at line 2 column 8"),
        ] {
            assert_eq!(shown(json), expected, "{json}");
        }
    }
}
