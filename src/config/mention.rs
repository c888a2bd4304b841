//! What is said about settings before a broker starts, in the order in which it is said.
//!
//! The last to mention a setting wins, so nothing is judged before all have spoken: a value that
//! is corrected later is nobody's mistake, and one that is taken back promises nothing.

use std::fmt;

use super::directives::{self, Directive};
use super::error::{ConfigError, Origin};
use super::fields::Config;
use super::row::{Concern, Setting};
use super::settings::lookup;
use super::unheeded::Unheeded;
use super::value::Refusal;

/// Why a setting that [`Concern::Binary`] is told of changes nothing in another program.
const OF_THE_BINARY: &str = "it is for the program respd, not for a broker inside another one";

/// All that was said.
#[derive(Clone, Default)]
pub(crate) struct Mentions(Vec<Mention>);

#[derive(Clone)]
struct Mention {
    place: Place,
    says: Says,
}

/// Where something was said, and in which words.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) origin: Origin,
    pub(super) line: usize,
    pub(super) text: String,
}

#[derive(Clone)]
enum Says {
    /// A value for a setting.
    Value(&'static Setting, Vec<Vec<u8>>),
    /// A directive that only Redis heeds, and why.
    InVain(String, &'static str),
    /// Nothing that could be understood, and why.
    Nonsense(String),
}

impl Place {
    pub(super) fn error(&self, reason: &str) -> ConfigError {
        ConfigError::Line {
            origin: self.origin.clone(),
            line: self.line,
            text: self.text.clone(),
            reason: reason.to_owned(),
        }
    }
}

impl Mentions {
    /// A line of a configuration, as its words.
    pub(super) fn add(&mut self, place: Place, name: &[u8], values: Vec<Vec<u8>>) {
        if let Some(setting) = lookup(name) {
            return self.note(place, Says::Value(setting, values));
        }
        // A name that is known is ASCII; any other is quoted from the line.
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        match directives::lookup(&name) {
            Some(Directive::Lacking(why)) => self.note(place, Says::InVain(name, why)),
            Some(Directive::Deprecated) if values.len() == 1 => {}
            Some(Directive::Deprecated) | None => self.add_nonsense(
                place,
                match name.as_str() {
                    "sentinel" => "sentinel directive while not in sentinel mode",
                    _ => "Bad directive or wrong number of arguments",
                },
            ),
        }
    }

    /// A line that is wrong, whatever is said later.
    pub(super) fn add_nonsense(&mut self, place: Place, reason: &str) {
        self.note(place, Says::Nonsense(reason.to_owned()));
    }

    /// A setting that the program around the broker sets, in the form that a file has.
    pub(crate) fn add_in_code(&mut self, name: &str, value: &str) {
        let place = Place {
            origin: Origin::Code,
            line: self.0.len() + 1,
            text: name.to_owned(),
        };
        let Some(setting) = lookup(name) else {
            return match directives::lookup(&name.to_ascii_lowercase()) {
                Some(_) => self.add(place, name.as_bytes(), vec![value.into()]),
                None => self.add_nonsense(place, "there is no such setting"),
            };
        };
        let words = setting.split(value.as_bytes());
        let words = words.into_iter().map(<[u8]>::to_vec).collect();
        self.note(place, Says::Value(setting, words));
    }

    fn note(&mut self, place: Place, says: Says) {
        self.0.push(Mention { place, says });
    }

    /// Sets in `config` what was said, and answers what of it changes nothing.
    ///
    /// # Errors
    ///
    /// The first mistake that nobody has corrected.
    pub(crate) fn judge(&self, config: &mut Config) -> Result<Vec<Unheeded>, ConfigError> {
        let mut unheeded = Vec::new();
        for (index, Mention { place, says }) in self.0.iter().enumerate() {
            let mut note = |name: &str, why: &str| {
                unheeded.push(Unheeded {
                    origin: place.origin.clone(),
                    line: place.line,
                    name: name.to_owned(),
                    why: why.to_owned(),
                });
            };
            match says {
                Says::Nonsense(reason) => return Err(place.error(reason)),
                Says::InVain(name, why) => note(name, why),
                Says::Value(setting, words) if !self.is_overruled(index, setting, words) => {
                    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                    match setting.set(config, &words) {
                        Err(Refusal::Invalid(reason)) => return Err(place.error(&reason)),
                        Err(Refusal::Unavailable(why)) => note(setting.name(), &why),
                        Ok(()) => {
                            if let Some(why) = why_in_vain(setting, config, &place.origin) {
                                note(setting.name(), why);
                            }
                        }
                    }
                }
                Says::Value(..) => {}
            }
        }
        Ok(unheeded)
    }

    /// Whether all that a mention says about a setting is said anew later.
    fn is_overruled(&self, index: usize, setting: &Setting, words: &[Vec<u8>]) -> bool {
        let later: Vec<Vec<u8>> = self.0[index + 1..]
            .iter()
            .filter_map(|mention| match &mention.says {
                Says::Value(other, words) if *other == setting => Some(setting.parts(words)),
                _ => None,
            })
            .flatten()
            .collect();
        setting.parts(words).iter().all(|part| later.contains(part))
    }
}

fn why_in_vain(setting: &Setting, config: &Config, origin: &Origin) -> Option<&'static str> {
    let is_elsewhere = *origin == Origin::Code && setting.concern() == Concern::Binary;
    if setting.is_set_in_vain(config) {
        Some("it tunes what only Redis has inside")
    } else if is_elsewhere && setting.get(config) != setting.get(&Config::default()) {
        Some(OF_THE_BINARY)
    } else {
        None
    }
}

/// Names and values; of a password, only that it is one.
impl fmt::Debug for Mentions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for Mention { place, says } in &self.0 {
            match says {
                Says::Value(setting, words) if !setting.is_sensitive() => {
                    let value = words.join(&b' ');
                    map.entry(&setting.name(), &String::from_utf8_lossy(&value));
                }
                Says::Value(setting, _) => _ = map.entry(&setting.name(), &"(redacted)"),
                // It may be a password under a misspelt name.
                Says::InVain(..) | Says::Nonsense(_) => {
                    let name = place.text.split_ascii_whitespace().next();
                    map.entry(&name.unwrap_or_default(), &"(redacted)");
                }
            }
        }
        map.finish()
    }
}
