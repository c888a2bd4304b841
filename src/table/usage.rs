//! The notation in which a row of the command table declares its arguments.
//!
//! It reads like the syntax line of Redis's documentation and says besides
//! what COMMAND DOCS wants to know. It describes; nothing is checked with it.
//!
//! ```text
//! key:key value [condition(NX|XX)@2.6.12] [GET@6.2.0] [expiration(EX seconds:integer | KEEPTTL)]
//! ```
//!
//! | written | means |
//! |---|---|
//! | `value` | an argument of that name, a string |
//! | `count:integer` | of another type: `double`, `key`, `pattern`, `unix-time` |
//! | `addr<ip:port>` | shown to people as `ip:port` |
//! | `NX` | the word itself; the argument's name is `nx` |
//! | `sorting=ALPHA` | the word itself, or a sign such as `$`, under a name of its own |
//! | `COUNT count:integer` | a word, and what must follow it |
//! | `where(LEFT\|RIGHT)` | one of several |
//! | `data(key:key value)` | several that belong together |
//! | `[…]` | may be left out |
//! | `key:key...` | once or more often |
//! | `PREFIX prefix...+` | the same, and the word before it is repeated each time |
//! | `…@6.2.0` | since this version of Redis; otherwise as old as the command |
//! | `…!2.8.12` | deprecated since then |
//!
//! The n-th argument of type `key` belongs to the n-th key specification of
//! the row, or to the last one if the row has fewer; `by:pattern#1` names the
//! specification (counted from 0).

use std::fmt::Write;

/// One argument of a command, as COMMAND DOCS describes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Argument {
    /// What it is called.
    pub name: String,
    /// What a syntax line shows for it.
    pub display: String,
    /// What it is made of.
    pub kind: Kind,
    /// The word that introduces it, or is all of it.
    pub token: Option<&'static str>,
    /// Which key specification of the row covers it.
    pub key_spec: Option<usize>,
    /// The version of Redis that added it.
    pub since: Option<&'static str>,
    /// The version of Redis that deprecated it.
    pub deprecated: Option<&'static str>,
    /// Whether it may be left out.
    pub optional: bool,
    /// Whether it may be repeated.
    pub multiple: bool,
    /// Whether repeating it repeats the token.
    pub multiple_token: bool,
}

/// What an argument is made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A value of a type that Redis names so.
    Value(&'static str),
    /// The token alone.
    Token,
    /// One of these.
    OneOf(Vec<Argument>),
    /// All of these, in this order.
    Block(Vec<Argument>),
}

impl Kind {
    /// The name of the type in COMMAND DOCS.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Value(name) => name,
            Kind::Token => "pure-token",
            Kind::OneOf(_) => "oneof",
            Kind::Block(_) => "block",
        }
    }

    /// The arguments inside, if it has any.
    pub fn arguments(&self) -> Option<&[Argument]> {
        match self {
            Kind::OneOf(inner) | Kind::Block(inner) => Some(inner),
            Kind::Value(_) | Kind::Token => None,
        }
    }
}

/// The arguments that `usage` declares, of a row with so many key
/// specifications; or where the notation is broken.
pub fn parse(usage: &'static str, key_specs: usize) -> Result<Vec<Argument>, String> {
    let mut parser = Parser {
        rest: usage,
        keys: 0,
        key_specs,
    };
    let arguments = parser.sequence()?;
    if parser.rest.is_empty() {
        Ok(arguments)
    } else {
        Err(parser.expected("the end"))
    }
}

/// A syntax line for people: `key value [NX|XX] [GET] [EX seconds|KEEPTTL]`.
pub fn render(arguments: &[Argument]) -> String {
    let mut line = String::new();
    write_joined(&mut line, arguments, " ");
    line
}

fn write_joined(line: &mut String, arguments: &[Argument], separator: &str) {
    for (index, argument) in arguments.iter().enumerate() {
        if index > 0 {
            line.push_str(separator);
        }
        write_argument(line, argument, separator == "|");
    }
}

/// `alternative`: whether it stands between bars, where the brackets of an
/// optional argument would say nothing.
fn write_argument(line: &mut String, argument: &Argument, alternative: bool) {
    let brackets = argument.optional && !alternative;
    if brackets {
        line.push('[');
    }
    let start = line.len();
    if let Some(token) = argument.token {
        line.push_str(token);
        if argument.kind != Kind::Token {
            line.push(' ');
        }
    }
    let value = line.len();
    match &argument.kind {
        Kind::Token => {}
        Kind::Value(_) => line.push_str(&argument.display),
        // Brackets around the argument already keep its alternatives together.
        Kind::OneOf(inner) if brackets && argument.token.is_none() && !argument.multiple => {
            write_joined(line, inner, "|");
        }
        Kind::OneOf(inner) => {
            line.push('<');
            write_joined(line, inner, "|");
            line.push('>');
        }
        Kind::Block(inner) => write_joined(line, inner, " "),
    }
    if argument.multiple {
        let again = line[if argument.multiple_token {
            start
        } else {
            value
        }..]
            .to_owned();
        write!(line, " [{again} ...]").expect("a String takes everything");
    }
    if brackets {
        line.push(']');
    }
}

/// A parser by recursive descent. The texts are our own, so the depth is that
/// of the deepest row.
struct Parser {
    rest: &'static str,
    keys: usize,
    key_specs: usize,
}

impl Parser {
    /// Arguments with spaces between them, up to something else.
    fn sequence(&mut self) -> Result<Vec<Argument>, String> {
        let mut arguments = Vec::new();
        loop {
            self.rest = self.rest.trim_start();
            if self.rest.is_empty() || self.rest.starts_with([')', ']', '|']) {
                return Ok(arguments);
            }
            arguments.push(self.argument()?);
        }
    }

    fn argument(&mut self) -> Result<Argument, String> {
        if self.take('[') {
            let inner = self.argument()?;
            self.expect(']')?;
            return Ok(Argument {
                optional: true,
                ..inner
            });
        }
        let word = self.word()?;
        if self.take('=') {
            let token = self.token()?;
            return self.suffixes(argument(word.to_owned(), Kind::Token, Some(token)));
        }
        if !is_token(word) {
            return self.value(word, None);
        }
        // A token takes what follows it, up to the end of the group.
        let next = self
            .rest
            .strip_prefix(' ')
            .filter(|next| next.starts_with(is_name_start));
        let Some(next) = next else {
            return self.suffixes(argument(word.to_ascii_lowercase(), Kind::Token, Some(word)));
        };
        self.rest = next;
        let name = self.word()?;
        self.value(name, Some(word))
    }

    /// What follows the name of an argument that is not a token.
    fn value(
        &mut self,
        name: &'static str,
        token: Option<&'static str>,
    ) -> Result<Argument, String> {
        if self.take('(') {
            let first = self.sequence()?;
            if !self.rest.starts_with('|') {
                self.expect(')')?;
                return self.suffixes(argument(name.to_owned(), Kind::Block(first), token));
            }
            let mut alternatives = first;
            while self.take('|') {
                alternatives.extend(self.sequence()?);
            }
            self.expect(')')?;
            return self.suffixes(argument(name.to_owned(), Kind::OneOf(alternatives), token));
        }
        let mut value = argument(name.to_owned(), Kind::Value("string"), token);
        if self.take('<') {
            let (display, rest) = self
                .rest
                .split_once('>')
                .ok_or_else(|| self.expected("the end of a display text"))?;
            value.display = display.to_owned();
            self.rest = rest;
        }
        if self.take(':') {
            value.kind = Kind::Value(self.word()?);
        }
        if self.take('#') {
            let index = self.word()?;
            value.key_spec = Some(index.parse().map_err(|_| self.expected("a number"))?);
        } else if value.kind == Kind::Value("key") {
            value.key_spec = Some(self.keys.min(self.key_specs.saturating_sub(1)));
            self.keys += 1;
        }
        self.suffixes(value)
    }

    /// How often, and since when.
    fn suffixes(&mut self, mut argument: Argument) -> Result<Argument, String> {
        if let Some(rest) = self.rest.strip_prefix("...") {
            self.rest = rest;
            argument.multiple = true;
            argument.multiple_token = self.take('+');
        }
        if self.take('@') {
            argument.since = Some(self.version()?);
        }
        if self.take('!') {
            argument.deprecated = Some(self.version()?);
        }
        Ok(argument)
    }

    fn word(&mut self) -> Result<&'static str, String> {
        self.while_matching(
            |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'),
            "a word",
        )
    }

    /// A word, or the sign that is one.
    fn token(&mut self) -> Result<&'static str, String> {
        match self.rest.starts_with(['$', '*', '~', '=']) {
            true => self.while_matching(|c| matches!(c, '$' | '*' | '~' | '='), "a sign"),
            false => self.word(),
        }
    }

    fn version(&mut self) -> Result<&'static str, String> {
        self.while_matching(|c| c.is_ascii_digit() || c == '.', "a version")
    }

    fn while_matching(
        &mut self,
        belongs: impl Fn(char) -> bool,
        what: &str,
    ) -> Result<&'static str, String> {
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        if end == 0 {
            return Err(self.expected(what));
        }
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(word)
    }

    fn take(&mut self, c: char) -> bool {
        let rest = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, c: char) -> Result<(), String> {
        if self.take(c) {
            Ok(())
        } else {
            Err(self.expected(&format!("'{c}'")))
        }
    }

    fn expected(&self, what: &str) -> String {
        format!("expected {what} at \"{}\"", self.rest)
    }
}

fn argument(name: String, kind: Kind, token: Option<&'static str>) -> Argument {
    Argument {
        display: name.clone(),
        name,
        kind,
        token,
        key_spec: None,
        since: None,
        deprecated: None,
        optional: false,
        multiple: false,
        multiple_token: false,
    }
}

/// Tokens are written in upper case, names in lower case.
fn is_token(word: &str) -> bool {
    !word.contains(|c: char| c.is_ascii_lowercase())
        && word.contains(|c: char| c.is_ascii_uppercase())
}

fn is_name_start(c: char) -> bool {
    c.is_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(usage: &'static str) -> Vec<Argument> {
        parse(usage, 2).unwrap_or_else(|error| panic!("{usage}: {error}"))
    }

    fn one(usage: &'static str) -> Argument {
        let mut arguments = parsed(usage);
        assert_eq!(arguments.len(), 1, "{usage}");
        arguments.remove(0)
    }

    #[test]
    fn a_bare_name_is_a_string() {
        let message = one("message");
        assert_eq!(
            (message.name.as_str(), message.kind.name()),
            ("message", "string")
        );
        assert!(!message.optional && !message.multiple);
    }

    #[test]
    fn a_type_follows_the_name() {
        assert_eq!(one("at:unix-time").kind, Kind::Value("unix-time"));
    }

    #[test]
    fn a_token_is_its_own_name_unless_it_has_one() {
        assert_eq!(
            (one("NX").name.as_str(), one("NX").token),
            ("nx", Some("NX"))
        );
        let named = one("sorting=ALPHA");
        assert_eq!(
            (named.name.as_str(), named.token, named.kind),
            ("sorting", Some("ALPHA"), Kind::Token)
        );
    }

    #[test]
    fn a_token_takes_the_name_behind_it_but_no_bracket() {
        let count = one("COUNT count:integer");
        assert_eq!((count.name.as_str(), count.token), ("count", Some("COUNT")));
        assert_eq!(parsed("NOW [FORCE]").len(), 2);
    }

    #[test]
    fn bars_make_alternatives_and_spaces_a_block() {
        let sides = one("where(LEFT|RIGHT)");
        assert_eq!(
            (sides.kind.name(), sides.kind.arguments().map(<[_]>::len)),
            ("oneof", Some(2))
        );
        let pair = one("data(key:key value)...");
        assert_eq!(
            (pair.kind.name(), pair.kind.arguments().map(<[_]>::len)),
            ("block", Some(2))
        );
        assert!(pair.multiple);
    }

    #[test]
    fn versions_stand_inside_the_brackets() {
        let old = one("[addr<ip:port>@2.4.0!2.8.12]");
        assert_eq!(
            (old.since, old.deprecated, old.optional),
            (Some("2.4.0"), Some("2.8.12"), true)
        );
        assert_eq!(
            (old.name.as_str(), old.display.as_str()),
            ("addr", "ip:port")
        );
    }

    #[test]
    fn keys_belong_to_the_specifications_in_order() {
        let specs = |usage| -> Vec<_> {
            parsed(usage)
                .iter()
                .map(|argument| argument.key_spec)
                .collect()
        };
        assert_eq!(specs("a:key b:key c:key"), [Some(0), Some(1), Some(1)]);
        assert_eq!(specs("[BY by:pattern#1] c:key"), [Some(1), Some(0)]);
    }

    #[test]
    fn a_broken_notation_says_where() {
        for (usage, place) in [
            ("[NX", "']' at \"\""),
            ("key:", "a word at \"\""),
            ("a)", "the end at \")\""),
        ] {
            let error = parse(usage, 0).expect_err(usage);
            assert!(error.ends_with(place), "{usage}: {error}");
        }
    }

    #[test]
    fn a_rendered_line_reads_like_redis_documentation() {
        for (usage, line) in [
            (
                "key:key value [condition(NX|XX)] [GET]",
                "key value [NX|XX] [GET]",
            ),
            (
                "[expiration(EX seconds:integer | KEEPTTL)]",
                "[EX seconds|KEEPTTL]",
            ),
            ("key:key...", "key [key ...]"),
            ("data(key:key value)...", "key value [key value ...]"),
            (
                "[ID client-id:integer...]",
                "[ID client-id [client-id ...]]",
            ),
            ("[PREFIX prefix...+]", "[PREFIX prefix [PREFIX prefix ...]]"),
            ("[TYPE type(NORMAL|PUBSUB)]", "[TYPE <NORMAL|PUBSUB>]"),
            ("where(LEFT|RIGHT)", "<LEFT|RIGHT>"),
        ] {
            assert_eq!(render(&parsed(usage)), line);
        }
    }
}
