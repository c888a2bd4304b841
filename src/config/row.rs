//! One setting: its row in the table, and what follows from it.

use std::path::PathBuf;

use super::fields::Config;
use super::form::Form;
use super::value::{
    Refusal, format_yes_no, only, parse_bytes, parse_choice, parse_integer, parse_octal,
    parse_yes_no, path_bytes, path_from_bytes,
};
use crate::text::number::format_memory;
use crate::text::words::quote;

/// One setting. What it is called, what it does, when it may change, and its [`Kind`].
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    name: &'static str,
    aliases: &'static [&'static str],
    help: &'static str,
    change: Change,
    concern: Concern,
    sensitive: bool,
    hidden: bool,
    heading: Option<&'static str>,
    kind: Kind,
}

/// When a setting may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// At any time, with CONFIG SET.
    Live,
    /// At start only.
    Startup,
    /// At start only, because a client could do harm with it.
    Protected,
}

/// Whom a setting is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concern {
    /// The broker, wherever it runs.
    Broker,
    /// The program `respd` around it. A broker inside another program remembers the value for
    /// CONFIG GET, and nothing comes of it.
    Binary,
}

/// Names the parts that the words of a line are about.
pub type Parts = fn(&[&[u8]]) -> Vec<Vec<u8>>;

/// What values a setting has, with their bounds, and where in [`Config`] they are.
#[derive(Clone, Copy)]
pub enum Kind {
    /// `yes` or `no`.
    Flag {
        /// Reads the field.
        get: fn(&Config) -> bool,
        /// Writes the field.
        set: fn(&mut Config, bool),
    },
    /// A decimal integer from `min` to `max`.
    Integer {
        /// Least value.
        min: i64,
        /// Greatest value.
        max: i64,
        /// Reads the field.
        get: fn(&Config) -> i64,
        /// Writes the field, with a value within the bounds.
        set: fn(&mut Config, i64),
    },
    /// An octal integer up to `max`.
    Octal {
        /// Greatest value.
        max: u32,
        /// Reads the field.
        get: fn(&Config) -> u32,
        /// Writes the field, with a value within the bounds.
        set: fn(&mut Config, u32),
    },
    /// A number of bytes from `min` to `max`, with an optional unit.
    Memory {
        /// Least value.
        min: u64,
        /// Greatest value.
        max: u64,
        /// Reads the field.
        get: fn(&Config) -> u64,
        /// Writes the field, with a value within the bounds.
        set: fn(&mut Config, u64),
    },
    /// One of `names`, which the field is an index of.
    Choice {
        /// The names, in the order in which a refusal lists them.
        names: &'static [&'static str],
        /// Reads the field.
        get: fn(&Config) -> usize,
        /// Writes the field, with an index of `names`.
        set: fn(&mut Config, usize),
    },
    /// A path, or nothing.
    Path {
        /// Reads the field.
        get: fn(&Config) -> &Option<PathBuf>,
        /// Writes the field.
        set: fn(&mut Config, Option<PathBuf>),
    },
    /// One word with a syntax of its own.
    Text {
        /// Stands for the value in the help.
        hint: &'static str,
        /// Prints the field.
        get: fn(&Config) -> Vec<u8>,
        /// Parses into the field.
        set: fn(&mut Config, &[u8]) -> Result<(), Refusal>,
    },
    /// Any number of words.
    Words {
        /// Stands for the value in the help.
        hint: &'static str,
        /// Words that CONFIG REWRITE puts on one line.
        per_line: usize,
        /// The parts that words are about, if a line may leave the others as they are.
        parts: Option<Parts>,
        /// Prints the field.
        get: fn(&Config) -> Vec<String>,
        /// Parses into the field.
        set: fn(&mut Config, &[&[u8]]) -> Result<(), Refusal>,
    },
    /// A setting of which we have one value only. Others that Redis knows have no effect at
    /// start, and CONFIG SET refuses them.
    Fixed {
        /// What Redis takes.
        form: Form,
        /// The value.
        value: &'static str,
        /// Why there is no other.
        why: &'static str,
    },
    /// A setting that is remembered and changes nothing here.
    Inert {
        /// What Redis takes.
        form: Form,
        /// The value until another is set.
        default: &'static str,
    },
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.hint())
    }
}

/// Rows have unique names.
impl PartialEq for Setting {
    fn eq(&self, other: &Setting) -> bool {
        self.name == other.name
    }
}

impl Eq for Setting {}

impl Setting {
    /// The proper name, in lower case.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Former names, under which the setting can be read and set as well.
    pub fn aliases(&self) -> &'static [&'static str] {
        self.aliases
    }

    /// The proper name and the aliases.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// What it does, in one sentence.
    pub fn help(&self) -> &'static str {
        self.help
    }

    /// What stands above it and those that follow, in the help.
    pub fn heading(&self) -> Option<&'static str> {
        self.heading
    }

    /// When it may change.
    pub fn change(&self) -> Change {
        self.change
    }

    /// Whom it is for.
    pub fn concern(&self) -> Concern {
        self.concern
    }

    /// Whether CONFIG SET may change it.
    pub fn is_live(&self) -> bool {
        self.change == Change::Live
    }

    /// Whether its value is a secret, to be kept out of logs, MONITOR and SLOWLOG.
    pub fn is_sensitive(&self) -> bool {
        self.sensitive
    }

    /// Its kind, bounds and field.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The value in `config` as CONFIG GET prints it.
    pub fn get(&self, config: &Config) -> Vec<u8> {
        match self.kind {
            Kind::Flag { get, .. } => format_yes_no(get(config)).into(),
            Kind::Integer { get, .. } => get(config).to_string().into_bytes(),
            Kind::Octal { get, .. } => format!("{:o}", get(config)).into_bytes(),
            Kind::Memory { get, .. } => get(config).to_string().into_bytes(),
            Kind::Choice { names, get, .. } => names[get(config)].into(),
            Kind::Path { get, .. } => get(config).as_deref().map(path_bytes).unwrap_or_default(),
            Kind::Text { get, .. } => get(config),
            Kind::Words { get, .. } => get(config).join(" ").into_bytes(),
            Kind::Fixed { value, .. } => value.into(),
            Kind::Inert { default, .. } => config.inert.get(self.name, default).into(),
        }
    }

    /// Parses `words`, which for most settings must be one, into `config`. On refusal `config`
    /// is unchanged.
    pub fn set(&self, config: &mut Config, words: &[&[u8]]) -> Result<(), Refusal> {
        let words = &self.apart(words)[..];
        match self.kind {
            Kind::Flag { set, .. } => set(config, parse_yes_no(only(words)?)?),
            Kind::Integer { min, max, set, .. } => {
                set(config, parse_integer(only(words)?, min, max)?);
            }
            Kind::Octal { max, set, .. } => set(config, parse_octal(only(words)?, max)?),
            Kind::Memory { min, max, set, .. } => set(config, parse_bytes(only(words)?, min, max)?),
            Kind::Choice { names, set, .. } => set(config, parse_choice(names, only(words)?)?),
            Kind::Path { set, .. } => {
                let word = only(words)?;
                set(config, (!word.is_empty()).then(|| path_from_bytes(word)));
            }
            Kind::Text { set, .. } => set(config, only(words)?)?,
            Kind::Words { set, .. } => set(config, words)?,
            Kind::Fixed { form, value, why } => {
                if form.parse(words)? != value.as_bytes() {
                    return Err(Refusal::Unavailable(why.to_owned()));
                }
            }
            Kind::Inert { form, default } => {
                config.inert.set(self.name, form.parse(words)?, default);
            }
        }
        Ok(())
    }

    /// The words one by one. As in Redis, several may be one argument: `--save "900 1"`.
    fn apart<'a>(&self, words: &[&'a [u8]]) -> Vec<&'a [u8]> {
        match words {
            [one] if !one.is_empty() => self.split(one),
            _ => words.to_vec(),
        }
    }

    /// The parts of the setting that `words` say something about, where a line need not say all
    /// of it. For any other setting it is the whole, without a name.
    pub(super) fn parts(&self, words: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let whole = || vec![Vec::new()];
        let Kind::Words {
            parts: Some(parts), ..
        } = self.kind
        else {
            return whole();
        };
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        match parts(&self.apart(&words)) {
            none if none.is_empty() => whole(),
            parts => parts,
        }
    }

    /// The words of a value that CONFIG SET has in one argument. Redis splits at every single
    /// space, so that two in a row make an empty word.
    pub(super) fn split<'a>(&self, value: &'a [u8]) -> Vec<&'a [u8]> {
        if !self.takes_words() {
            vec![value]
        } else if value.is_empty() {
            Vec::new()
        } else {
            value.split(|byte| *byte == b' ').collect()
        }
    }

    /// The lines that CONFIG REWRITE writes, without the name.
    pub(super) fn lines(&self, config: &Config) -> Vec<Vec<u8>> {
        match self.kind {
            Kind::Memory { get, .. } => vec![format_memory(get(config)).into_bytes()],
            Kind::Path { .. } | Kind::Text { .. } => vec![quote(&self.get(config))],
            Kind::Words { per_line, get, .. } => match &get(config)[..] {
                [] => vec![quote(b"")],
                words => words
                    .chunks(per_line)
                    .map(|line| line.join(" ").into_bytes())
                    .collect(),
            },
            Kind::Inert { form, .. } => vec![form.written(&self.get(config))],
            _ => vec![self.get(config)],
        }
    }

    /// Whether something here depends on its value: not on one that has a single value, nor on
    /// one that is only remembered.
    pub fn has_effect(&self) -> bool {
        !matches!(self.kind, Kind::Fixed { .. } | Kind::Inert { .. })
    }

    /// Whether CONFIG GET shows it only to who asks for its very name, as one for Redis's tests.
    pub fn is_hidden(&self) -> bool {
        self.hidden
    }

    /// Whether there is one value only.
    pub(super) fn is_fixed(&self) -> bool {
        matches!(self.kind, Kind::Fixed { .. })
    }

    /// Whether it has been set to something, which changes nothing here.
    pub(super) fn is_set_in_vain(&self, config: &Config) -> bool {
        match self.kind {
            Kind::Inert { default, .. } => self.get(config) != default.as_bytes(),
            _ => false,
        }
    }

    /// The name out of [`Setting::names`] that `asked` is a spelling of.
    pub(super) fn name_like(&self, asked: &[u8]) -> &'static str {
        self.names()
            .find(|name| name.as_bytes().eq_ignore_ascii_case(asked))
            .unwrap_or(self.name)
    }

    fn takes_words(&self) -> bool {
        match self.kind {
            Kind::Words { .. } => true,
            Kind::Fixed { form, .. } | Kind::Inert { form, .. } => matches!(form, Form::Words(_)),
            _ => false,
        }
    }

    pub(super) const fn startup(mut self) -> Setting {
        self.change = Change::Startup;
        self
    }

    pub(super) const fn protected(mut self) -> Setting {
        self.change = Change::Protected;
        self
    }

    pub(super) const fn of_the_binary(mut self) -> Setting {
        self.concern = Concern::Binary;
        self
    }

    pub(super) const fn sensitive(mut self) -> Setting {
        self.sensitive = true;
        self
    }

    pub(super) const fn hidden(mut self) -> Setting {
        self.hidden = true;
        self
    }

    /// The first of a group of settings in the help.
    pub(super) const fn headed(mut self, heading: &'static str) -> Setting {
        self.heading = Some(heading);
        self
    }

    pub(super) const fn alias(mut self, aliases: &'static [&'static str]) -> Setting {
        self.aliases = aliases;
        self
    }
}

impl Kind {
    /// What may follow the name, for the help.
    pub fn hint(&self) -> String {
        match self {
            Kind::Flag { .. } => "yes|no".to_owned(),
            Kind::Integer { .. } => "NUMBER".to_owned(),
            Kind::Octal { .. } => "MODE".to_owned(),
            Kind::Memory { .. } => "BYTES".to_owned(),
            Kind::Choice { names, .. } => names.join("|"),
            Kind::Path { .. } => "PATH".to_owned(),
            Kind::Text { hint, .. } | Kind::Words { hint, .. } => (*hint).to_owned(),
            Kind::Fixed { value: "", .. } => "\"\"".to_owned(),
            Kind::Fixed { value, .. } => (*value).to_owned(),
            Kind::Inert { .. } => "VALUE".to_owned(),
        }
    }
}

/// A live setting of the broker without aliases, which is what most are.
pub(super) const fn row(name: &'static str, help: &'static str, kind: Kind) -> Setting {
    Setting {
        name,
        aliases: &[],
        help,
        change: Change::Live,
        concern: Concern::Broker,
        sensitive: false,
        hidden: false,
        heading: None,
        kind,
    }
}
