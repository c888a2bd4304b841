//! Reading and changing settings by name: CONFIG GET and SET.

use std::fmt;

use super::fields::Config;
use super::row::{Change, Setting};
use super::settings::{SETTINGS, lookup};
use crate::text::glob;

impl Config {
    /// CONFIG GET: name and value of the settings that match one of `patterns`.
    ///
    /// A name without glob characters is looked up and answered as it was written, a pattern
    /// answers proper names and aliases, but hidden ones; nothing is answered twice. Redis answers in no
    /// particular order, this in the order of the request and then of the table.
    pub fn get<P: AsRef<[u8]>>(&self, patterns: &[P]) -> Vec<(String, Vec<u8>)> {
        let mut found: Vec<(String, Vec<u8>)> = Vec::new();
        let mut answer = |name: &str, setting: &Setting| {
            if !found
                .iter()
                .any(|(seen, _)| seen.eq_ignore_ascii_case(name))
            {
                found.push((name.to_owned(), setting.get(self)));
            }
        };
        for pattern in patterns.iter().map(AsRef::as_ref) {
            if pattern.iter().any(|byte| b"[*?".contains(byte)) {
                for setting in SETTINGS.iter().filter(|setting| !setting.is_hidden()) {
                    for name in setting
                        .names()
                        .filter(|n| glob::matches(pattern, n.as_bytes(), true))
                    {
                        answer(name, setting);
                    }
                }
            } else if let Some(setting) = lookup(pattern) {
                // A name that was found is ASCII.
                answer(&String::from_utf8_lossy(pattern), setting);
            }
        }
        found
    }

    /// CONFIG SET: applies all of `pairs` or, on error, none. Returns the settings whose value
    /// is now a different one.
    ///
    /// A caller that may fail to put a change into effect sets a clone, and keeps the old
    /// configuration when it answers [`ConfigSetError::failed`].
    pub fn set<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        pairs: &[(N, V)],
    ) -> Result<Vec<&'static Setting>, ConfigSetError> {
        // As in Redis, all names are checked before the first value. An error about a name
        // quotes what the client wrote, one about a value the name in the table.
        let mut named: Vec<(&str, &'static Setting)> = Vec::new();
        for asked in pairs.iter().map(|(name, _)| name.as_ref()) {
            let setting = lookup(asked).ok_or_else(|| ConfigSetError::unknown(asked))?;
            match setting.change() {
                Change::Live => {}
                Change::Startup => {
                    return Err(ConfigSetError::failed(asked, "can't set immutable config"));
                }
                Change::Protected => {
                    return Err(ConfigSetError::failed(asked, "can't set protected config"));
                }
            }
            let name = setting.name_like(asked);
            if named.iter().any(|(other, _)| *other == name) {
                return Err(ConfigSetError::failed(asked, "duplicate parameter"));
            }
            named.push((name, setting));
        }

        let mut next = self.clone();
        let mut changed: Vec<&'static Setting> = Vec::new();
        for ((name, setting), (_, value)) in named.into_iter().zip(pairs) {
            let before = next.clone();
            setting
                .set(&mut next, &setting.split(value.as_ref()))
                .map_err(|refusal| ConfigSetError::failed(name, refusal.reason()))?;
            if next != before && !changed.contains(&setting) {
                changed.push(setting);
            }
        }
        *self = next;
        Ok(changed)
    }
}

/// Shows every setting that has an effect or was set in vain, and of a password only whether
/// there is one.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        let tells = |setting: &&Setting| setting.has_effect() || setting.is_set_in_vain(self);
        for setting in SETTINGS.iter().filter(tells) {
            let value = setting.get(self);
            let shown = if setting.is_sensitive() && !value.is_empty() {
                "(redacted)".into()
            } else {
                String::from_utf8_lossy(&value)
            };
            map.entry(&setting.name(), &shown);
        }
        map.finish()
    }
}

/// Why CONFIG SET changed nothing: the text of the error reply, without its `ERR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigSetError {
    text: Vec<u8>,
}

impl ConfigSetError {
    /// The error for a setting that is valid but could not be put into effect.
    pub fn failed(name: impl AsRef<[u8]>, reason: &str) -> Self {
        let text = [
            b"CONFIG SET failed (possibly related to argument '",
            name.as_ref(),
            b"') - ",
            reason.as_bytes(),
        ];
        ConfigSetError {
            text: text.concat(),
        }
    }

    fn unknown(name: &[u8]) -> Self {
        let text: [&[u8]; 3] = [
            b"Unknown option or number of arguments for CONFIG SET - '",
            name,
            b"'",
        ];
        ConfigSetError {
            text: text.concat(),
        }
    }

    /// The text, which quotes the client and may therefore hold any byte.
    pub fn text(&self) -> &[u8] {
        &self.text
    }
}

impl fmt::Display for ConfigSetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.text))
    }
}

impl std::error::Error for ConfigSetError {}
