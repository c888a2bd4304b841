//! The scripts that a broker knows by the SHA-1 of their text.

use std::collections::HashMap;

use super::registration::Callback;
use super::sha::Sha;
use super::shebang::ScriptFlags;

/// So many scripts are kept that came with EVAL alone, as in Redis from 7.4 on.
const EVALUATED_MAX: usize = 500;
/// So many bytes of text of such scripts are kept.
const EVALUATED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// All scripts that EVALSHA finds.
#[derive(Default)]
pub struct Cache {
    scripts: HashMap<Sha, Script, foldhash::fast::RandomState>,
    /// Those of them that came with EVAL alone.
    evaluated: Vec<Sha>,
    /// Bytes of their texts.
    evaluated_bytes: usize,
    /// Bytes of all texts.
    bytes: usize,
    /// How often a script has been used.
    uses: u64,
}

/// A script.
pub struct Script {
    /// The text as it came.
    pub text: Box<[u8]>,
    /// What its first line says, if there is such a line.
    pub flags: Option<ScriptFlags>,
    /// The script as the interpreter has compiled it.
    function: Option<Callback>,
    /// SCRIPT LOAD has brought it, so it stays until SCRIPT FLUSH.
    loaded: bool,
    /// The number of its last use.
    used: u64,
}

impl Cache {
    /// A script that is used now.
    pub fn get(&mut self, sha: &Sha) -> Option<&mut Script> {
        self.uses += 1;
        let script = self.scripts.get_mut(sha)?;
        script.used = self.uses;
        Some(script)
    }

    /// Whether there is this one.
    pub fn contains(&self, sha: &Sha) -> bool {
        self.scripts.contains_key(sha)
    }

    /// What one says of itself.
    pub fn flags(&self, sha: &Sha) -> Option<ScriptFlags> {
        self.scripts.get(sha)?.flags
    }

    /// The text of one.
    pub fn text(&self, sha: &Sha) -> Option<&[u8]> {
        self.scripts.get(sha).map(|script| &*script.text)
    }

    /// Adds one that is not there; answers the functions of those that had to
    /// make room for it.
    pub fn insert(
        &mut self,
        sha: Sha,
        text: &[u8],
        flags: Option<ScriptFlags>,
        function: Callback,
        loaded: bool,
    ) -> Vec<Callback> {
        self.uses += 1;
        let script = Script {
            text: text.into(),
            flags,
            function: Some(function),
            loaded,
            used: self.uses,
        };
        self.bytes += text.len();
        self.scripts.insert(sha, script);
        if loaded {
            return Vec::new();
        }
        self.evaluated.push(sha);
        self.evaluated_bytes += text.len();
        self.make_room()
    }

    /// Has a script stay until SCRIPT FLUSH; false if it is not there.
    pub fn keep(&mut self, sha: &Sha) -> bool {
        let Some(script) = self.scripts.get_mut(sha) else {
            return false;
        };
        if !std::mem::replace(&mut script.loaded, true) {
            self.evaluated_bytes -= script.text.len();
            self.evaluated.retain(|evaluated| evaluated != sha);
        }
        true
    }

    /// Forgets those scripts that came with EVAL alone and have not been used
    /// for longest, if they are too many; the newest stays.
    fn make_room(&mut self) -> Vec<Callback> {
        let mut forgotten = Vec::new();
        while self.evaluated.len() > EVALUATED_MAX
            || (self.evaluated_bytes > EVALUATED_BYTES_MAX && self.evaluated.len() > 1)
        {
            let used = |sha: &Sha| self.scripts.get(sha).map(|script| script.used);
            let places = 0..self.evaluated.len();
            let Some(oldest) = places.min_by_key(|&place| used(&self.evaluated[place])) else {
                break;
            };
            let sha = self.evaluated.swap_remove(oldest);
            if let Some(script) = self.scripts.remove(&sha) {
                self.evaluated_bytes -= script.text.len();
                self.bytes -= script.text.len();
                forgotten.extend(script.function);
            }
        }
        forgotten
    }

    /// What the interpreter has compiled of all.
    pub fn functions(&self) -> impl Iterator<Item = Callback> {
        self.scripts.values().filter_map(|script| script.function)
    }

    /// How many scripts there are.
    pub fn len(&self) -> usize {
        self.scripts.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.scripts.is_empty()
    }

    /// Bytes of memory held, about.
    pub fn memory(&self) -> usize {
        self.bytes + self.scripts.capacity() * (size_of::<Script>() + size_of::<Sha>() + 1)
    }

    /// Forgets what an interpreter has compiled that is gone.
    pub fn forget_compiled(&mut self) {
        self.scripts
            .values_mut()
            .for_each(|script| script.function = None);
    }
}

impl Script {
    /// The compiled script, which `compile` makes of its text if need be.
    pub fn function<E>(
        &mut self,
        compile: impl FnOnce(&[u8]) -> Result<Callback, E>,
    ) -> Result<Callback, E> {
        if let Some(function) = self.function {
            return Ok(function);
        }
        let function = compile(&self.text)?;
        self.function = Some(function);
        Ok(function)
    }
}
