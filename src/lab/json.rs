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

use std::fmt;

use serde_core::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A request: its words.
pub type Words = Vec<Vec<u8>>;

/// Runs a request; answers the text of its error.
pub type Run<'r> = &'r mut dyn FnMut(Words) -> Result<()>;

type Result<T> = std::result::Result<T, String>;

/// So many elements of a collection are stored by one command.
const ELEMENTS: usize = 1_000;

/// Runs the commands that store each key instead of whatever it has, for a
/// client that has the database `selected`. Answers how many keys there are.
/// One that is named twice has what is said last.
///
/// # Errors
///
/// What is wrong, and at which key: `key "jobs": …`.
pub fn load(text: &[u8], selected: usize, run: Run<'_>) -> Result<usize> {
    let json: &RawValue = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let keys = object(json).map_err(|_| "an object of keys is expected")?;
    let mut current = selected as u64;
    for (key, spec) in &keys {
        let mut store = || {
            let spec = Spec::of(spec)?;
            let db = spec.db.unwrap_or(selected as u64);
            if std::mem::replace(&mut current, db) != db {
                run(words(["SELECT", &db.to_string()]))?;
            }
            run(words(["DEL", key]))?;
            spec.store(key, run)
        };
        store().map_err(|error| format!("key {key:?}: {error}"))?;
    }
    Ok(keys.len())
}

/// What is said of a key.
struct Spec<'j> {
    kind: String,
    value: &'j RawValue,
    ttl_ms: Option<i64>,
    db: Option<u64>,
    groups: Vec<(String, &'j RawValue)>,
}

impl<'j> Spec<'j> {
    fn of(json: &'j RawValue) -> Result<Spec<'j>> {
        let [kind, value, ttl, db, groups] =
            members(json, ["type", "value", "ttl", "db", "groups"])?;
        let kind = kind.and_then(|kind| serde_json::from_str(kind.get()).ok());
        let db = db.map(|db| db.get().parse().map_err(|_| "\"db\" is to be a number"));
        Ok(Spec {
            kind: kind.ok_or("\"type\" is to be the name of one")?,
            value: value.ok_or("\"value\" is missing")?,
            ttl_ms: ttl.map(ttl_ms).transpose()?,
            db: db.transpose()?,
            groups: groups.map_or(Ok(Vec::new()), object)?,
        })
    }

    fn store(&self, key: &str, run: Run<'_>) -> Result<()> {
        if !self.groups.is_empty() && self.kind != "stream" {
            return Err("only a stream has groups".into());
        }
        match &*self.kind {
            "string" => run(words(["SET", key, &scalar(self.value)?]))?,
            "list" => self.store_elements("RPUSH", key, run)?,
            "set" => self.store_elements("SADD", key, run)?,
            "zset" => in_parts("ZADD", key, &object(self.value)?, run, |(member, score)| {
                Ok(vec![scalar(score)?, member.clone()])
            })?,
            "hash" => self.store_fields(key, run)?,
            "stream" => self.store_stream(key, run)?,
            kind => return Err(format!("{kind:?} is no type that a key can have")),
        }
        match self.ttl_ms {
            Some(ttl) => run(words(["PEXPIRE", key, &ttl.to_string()])),
            None => Ok(()),
        }
    }

    fn store_elements(&self, command: &str, key: &str, run: Run<'_>) -> Result<()> {
        in_parts(command, key, &array(self.value)?, run, |element| {
            Ok(vec![scalar(element)?])
        })
    }

    /// Fields, and then the times of those that have one.
    fn store_fields(&self, key: &str, run: Run<'_>) -> Result<()> {
        let fields = object(self.value)?;
        let timed = |json| members(json, ["value", "ttl"]);
        in_parts("HSET", key, &fields, run, |(field, json)| {
            let value = match is_object(json) {
                true => timed(json)?[0].ok_or("a field with members is to have \"value\"")?,
                false => *json,
            };
            Ok(vec![field.clone(), scalar(value)?])
        })?;
        for (field, json) in fields.iter().filter(|(_, json)| is_object(json)) {
            let ttl = timed(json)?[1].ok_or("a field with members is to have \"ttl\"")?;
            let ttl = ttl_ms(ttl)?.to_string();
            run(words(["HPEXPIRE", key, &ttl, "FIELDS", "1", field]))?;
        }
        Ok(())
    }

    fn store_stream(&self, key: &str, run: Run<'_>) -> Result<()> {
        let entries = array(self.value)?;
        if entries.is_empty() && self.groups.is_empty() {
            return Err(NOTHING.into());
        }
        for entry in entries {
            let [id, fields] = members(entry, ["id", "fields"])?;
            let id = id.map_or(Ok("*".to_owned()), scalar)?;
            let fields = object(fields.ok_or("an entry is to have \"fields\"")?)?;
            let mut add = words(["XADD", key, &id]);
            for (field, value) in fields {
                add.extend([field.into_bytes(), scalar(value)?.into_bytes()]);
            }
            run(add)?;
        }
        for (group, id) in &self.groups {
            let id = scalar(id)?;
            run(words(["XGROUP", "CREATE", key, group, &id, "MKSTREAM"]))?;
        }
        Ok(())
    }
}

/// What has no elements is no key.
const NOTHING: &str = "nothing is in it";

/// Runs a command with the words of all parts, some parts at a time.
fn in_parts<P>(
    command: &str,
    key: &str,
    parts: &[P],
    run: Run<'_>,
    to_words: impl Fn(&P) -> Result<Vec<String>>,
) -> Result<()> {
    if parts.is_empty() {
        return Err(NOTHING.into());
    }
    for parts in parts.chunks(ELEMENTS) {
        let mut request = words([command, key]);
        for part in parts {
            request.extend(to_words(part)?.into_iter().map(String::into_bytes));
        }
        run(request)?;
    }
    Ok(())
}

fn words<const N: usize>(words: [&str; N]) -> Words {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

/// The members of an object in the order in which they are written: that of the
/// fields of a hash or an entry can be seen.
struct Members<'j>(Vec<(String, &'j RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> std::result::Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        json.deserialize_map(InOrder)
    }
}

fn is_object(json: &RawValue) -> bool {
    json.get().starts_with('{')
}

fn object(json: &RawValue) -> Result<Vec<(String, &RawValue)>> {
    match is_object(json) {
        true => parsed::<Members<'_>>(json).map(|members| members.0),
        false => Err(format!("an object is expected, not {}", shown(json))),
    }
}

fn array(json: &RawValue) -> Result<Vec<&RawValue>> {
    match json.get().starts_with('[') {
        true => parsed(json),
        false => Err(format!("an array is expected, not {}", shown(json))),
    }
}

/// A string, or a number in the digits that stand there.
fn scalar(json: &RawValue) -> Result<String> {
    match json.get().as_bytes() {
        [b'"', ..] => parsed(json),
        [b'-' | b'0'..=b'9', ..] => Ok(json.get().to_owned()),
        _ => Err(format!(
            "a string or a number is expected, not {}",
            shown(json)
        )),
    }
}

/// What is well formed as far as brackets and quotes go.
fn parsed<'j, T: Deserialize<'j>>(json: &'j RawValue) -> Result<T> {
    serde_json::from_str(json.get()).map_err(|error| format!("{error} of {}", shown(json)))
}

/// What is quoted of something that is wrong.
fn shown(json: &RawValue) -> String {
    const CHARACTERS: usize = 40;
    match json.get().char_indices().nth(CHARACTERS) {
        Some((end, _)) => format!("{}...", &json.get()[..end]),
        None => json.get().to_owned(),
    }
}

/// Seconds, in milliseconds.
fn ttl_ms(json: &RawValue) -> Result<i64> {
    let seconds: Option<f64> = json.get().parse().ok();
    let ms = seconds.map(|seconds| (seconds * 1000.0).round());
    let ms = ms.filter(|ms| *ms >= 1.0).map(|ms| ms as i64);
    ms.ok_or_else(|| "\"ttl\" is to be a number of seconds above 0".to_owned())
}

/// The members that are known. Others are refused, as they mean nothing: they
/// would be mistyped.
fn members<'j, const N: usize>(
    json: &'j RawValue,
    known: [&str; N],
) -> Result<[Option<&'j RawValue>; N]> {
    let mut found = [None; N];
    for (name, value) in object(json)? {
        match known.iter().position(|known| *known == name) {
            Some(place) => found[place] = Some(value),
            None => return Err(format!("{name:?} means nothing here, but {known:?} would")),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let mut lines = Vec::new();
        let mut run = |words: Words| {
            lines.push(String::from_utf8(words.join(&b' ')).expect("JSON is text"));
            Ok(())
        };
        match load(text.as_bytes(), 0, &mut run) {
            Ok(_) => lines.join("; "),
            Err(error) => error,
        }
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
            (
                r#"{"k": {"type": "list", "value": []}}"#,
                r#"key "k": nothing is in it"#,
            ),
            (
                r#"{"k": {"type": "stream", "value": []}}"#,
                r#"key "k": nothing is in it"#,
            ),
            (
                r#"{"k": {"type": "set", "value": [1], "groups": {"g": 0}}}"#,
                r#"key "k": only a stream has groups"#,
            ),
            (
                r#"{"k": {"type": "hash", "value": {"f": {"ttl": 1}}}}"#,
                r#"key "k": a field with members is to have "value""#,
            ),
            (
                r#"{"k": {"type": "hash", "value": {"f": {"value": {}, "ttl": 1}}}}"#,
                r#"key "k": a string or a number is expected, not {}"#,
            ),
            // As they are written, in order, the last of the same name.
            (
                r#"{"k": {"type": "hash", "value": {"z": 1.10, "b": 1e3, "a": -12345678901234567890123,
                    "é\n": "ü\u00fc"}}}"#,
                "DEL k; HSET k z 1.10 b 1e3 a -12345678901234567890123 é\n üü",
            ),
            (
                r#"{"k": {"type": "string", "value": 1}, "k": {"type": "string", "value": 2, "value": 3}}"#,
                "DEL k; SET k 1; DEL k; SET k 3",
            ),
            (
                r#"{"k": {"type": "string", "value": "\ud800"}}"#,
                r#"key "k": unexpected end of hex escape at line 1 column 8 of "\ud800""#,
            ),
            (
                r#"{"k": {"type": "string", "value": true}}"#,
                r#"key "k": a string or a number is expected, not true"#,
            ),
            (
                r#"{"k": {"type": "string", "value": "", "ttl": "1"}}"#,
                r#"key "k": "ttl" is to be a number of seconds above 0"#,
            ),
            ("[]", "an object of keys is expected"),
            ("", "EOF while parsing a value at line 1 column 0"),
            ("{} 1", "trailing characters at line 1 column 4"),
            ("{\n\"k\": 1,}", "key must be a string at line 2 column 8"),
        ] {
            assert_eq!(shown(json), expected, "{json}");
        }
    }

    #[test]
    fn what_is_long_or_deep_is_neither_repeated_nor_followed_down() {
        let long = format!(r#"{{"k": [{}]}}"#, "1,".repeat(100_000) + "1");
        assert_eq!(
            shown(&long),
            r#"key "k": an object is expected, not [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1..."#,
        );
        let deep = "[".repeat(1 << 20) + &"]".repeat(1 << 20);
        let deep = format!(r#"{{"k": {{"type": "list", "value": [{deep}]}}}}"#);
        let error = shown(&deep);
        assert!(error.len() < 200, "{error:.200}");
        let elements = vec!["1"; 2 * ELEMENTS + 1].join(",");
        let many = format!(r#"{{"k": {{"type": "list", "value": [{elements}]}}}}"#);
        assert_eq!(shown(&many).split("; ").count(), 4);
    }
}
