//! JSON for reading: one member a line, indented by two spaces.
//!
//! It lays out text and keeps what it says: order and repetition of keys, and numbers digit by
//! digit. `serde_json` can do that only with features that would change it for every crate in an
//! embedder's build.

/// Longer texts nobody reads, and deep nesting makes them up to 128 times as long.
const LONGEST: usize = 1024 * 1024;

/// `text` laid out, if it is a JSON object or array. `None` for everything else, single numbers and
/// strings included, which look the same either way.
pub fn pretty(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.trim_ascii();
    if text.len() > LONGEST || !text.starts_with(b"{") && !text.starts_with(b"[") {
        return None;
    }
    // Checks the grammar and bounds the depth, which the indentation multiplies.
    serde_json::from_slice::<serde_json::Value>(text).ok()?;

    let mut out = Vec::with_capacity(text.len() * 2);
    let mut depth = 0;
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        rest = after;
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b'{' | b'[' => {
                out.push(*byte);
                let inside = after.trim_ascii_start();
                if let [close @ (b'}' | b']'), after @ ..] = inside {
                    out.push(*close);
                    rest = after;
                } else {
                    depth += 1;
                    new_line(&mut out, depth);
                }
            }
            b'}' | b']' => {
                depth -= 1;
                new_line(&mut out, depth);
                out.push(*byte);
            }
            b',' => {
                out.push(b',');
                new_line(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            b'"' => {
                let length = 1 + string_length(after);
                let (string, after) = text[text.len() - after.len() - 1..].split_at(length);
                out.extend_from_slice(&readable(string));
                rest = after;
            }
            _ => out.push(*byte),
        }
    }
    Some(out)
}

fn new_line(out: &mut Vec<u8>, depth: usize) {
    out.push(b'\n');
    out.resize(out.len() + 2 * depth, b' ');
}

/// How long the rest of a string is from after its opening to after its closing quote.
fn string_length(rest: &[u8]) -> usize {
    let mut position = 0;
    while let Some(byte) = rest.get(position) {
        match byte {
            b'"' => return position + 1,
            b'\\' => position += 2,
            _ => position += 1,
        }
    }
    rest.len()
}

/// A string with the letters that some encoders escape needlessly, such as Python's by default,
/// written as themselves.
fn readable(string: &[u8]) -> Vec<u8> {
    serde_json::from_slice::<String>(string)
        .and_then(|string| serde_json::to_vec(&string))
        .unwrap_or_else(|_| string.to_vec())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn laid_out(text: &str) -> Option<String> {
        pretty(text.as_bytes()).map(|text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn objects_and_arrays_are_laid_out() {
        let text = r#" {"id":"a","n":[1, {"x" : {}}, [ ]],"t":"say \"{,}\" \\"} "#;
        let expected = r#"{
  "id": "a",
  "n": [
    1,
    {
      "x": {}
    },
    []
  ],
  "t": "say \"{,}\" \\"
}"#;
        assert_eq!(laid_out(text).unwrap(), expected);
    }

    #[test]
    fn what_it_says_stays() {
        let text = r#"{"z":1e400000000000000000000,"a":12345678901234567890.10,"z":-0}"#;
        // A number beyond every double is no JSON to the parser: shown as it is.
        assert_eq!(laid_out(text), None);
        assert_eq!(
            laid_out(r#"{"z":12345678901234567890.10,"a":-0,"z":1E5}"#).unwrap(),
            "{\n  \"z\": 12345678901234567890.10,\n  \"a\": -0,\n  \"z\": 1E5\n}"
        );
    }

    #[test]
    fn letters_are_shown_and_control_characters_stay_escaped() {
        assert_eq!(
            laid_out(r#"["caf\u00e9 \ud83d\ude00 \u001b[2J\/"]"#).unwrap(),
            "[\n  \"café 😀 \\u001b[2J/\"\n]"
        );
    }

    #[test]
    fn anything_else_is_left_alone() {
        for text in ["", "hello", "42", "\"text\"", "{", "{]", "[1,]", "{} {}"] {
            assert_eq!(laid_out(text), None, "{text}");
        }
        assert_eq!(pretty(b"[\"\xff\"]"), None);
        assert_eq!(laid_out(&"[".repeat(1_000_000)), None);
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(laid_out(&deep), None);
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_looks_as_serde_json_would_have_it(json in any_json()) {
            prop_assume!(json.is_array() || json.is_object());
            let expected = serde_json::to_string_pretty(&json).unwrap();
            prop_assert_eq!(laid_out(&json.to_string()), Some(expected.clone()));
            prop_assert_eq!(laid_out(&expected), Some(expected));
        }
    }
}
