//! Where the paths lead that the files of some crates name.

use super::reading::{Module, Name, Words, read};

/// Where a path leads. It may stop at modules on its way.
#[derive(PartialEq)]
pub enum Stop<'a> {
    /// The module that is this file.
    Module(&'a str),
    /// An item of this file and name, or what the item has: a variant, a function.
    Item(&'a str, &'a str, Words),
    /// Another crate, the language, something local.
    Outside(String),
    /// A name that the module before it does not have.
    Missing,
}

/// Some crates that know each other.
pub struct Sources {
    modules: Vec<Module>,
}

impl Sources {
    /// Reads crates as [`read`] does, the library first.
    pub fn read(roots: &[String], text: &dyn Fn(&str) -> Option<String>) -> Sources {
        let modules = read(roots, text);
        Sources { modules }
    }

    /// The files.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.modules.iter().map(|module| module.path.as_str())
    }

    /// All that the files use: the file, and a stop of a path in it.
    pub fn uses(&self) -> Vec<(&str, Stop<'_>)> {
        let mut uses = Vec::new();
        for module in &self.modules {
            let used = module
                .used
                .iter()
                .flat_map(|path| self.follow(module, path));
            let shown = module
                .shown
                .iter()
                .flat_map(|path| self.follow(module, path));
            // To show what is inside a module is not to use it.
            let inside = format!("{}/", module.folder);
            let shown = shown.filter(|stop| match stop {
                Stop::Item(of, ..) => !of.starts_with(&inside),
                _ => true,
            });
            uses.extend(used.chain(shown).map(|stop| (module.path.as_str(), stop)));
        }
        uses
    }

    /// Follows a path that stands in a module.
    fn follow<'a>(&'a self, module: &'a Module, path: &[String]) -> Vec<Stop<'a>> {
        let stops = self.walk(module, path, false);
        let (here, path) = (&module.path, path.join("::"));
        let is_found = !stops.contains(&Stop::Missing);
        assert!(is_found, "{here}: cannot tell what {path} is");
        stops
    }

    /// Behind the name of a module, a word can only be one of its names.
    fn walk<'a>(&'a self, module: &'a Module, path: &[String], is_behind: bool) -> Vec<Stop<'a>> {
        let Some((first, rest)) = path.split_first() else {
            return Vec::new();
        };
        match first.as_str() {
            "self" => return self.walk(module, rest, true),
            "super" => return self.enter(module.parent.expect("no root says super"), rest),
            "crate" => return self.enter(module.root, rest),
            "respd" if !is_behind => return self.enter(0, rest),
            _ => {}
        }
        let outside = |path: &[String]| vec![Stop::Outside(path.join("::"))];
        let Some((name, meanings)) = module.names.get_key_value(first) else {
            return match is_behind {
                true => vec![Stop::Missing],
                false => outside(path),
            };
        };
        let is_module = meanings.iter().any(|name| matches!(name, Name::Module(_)));
        let lead = |meaning: &Name| match meaning {
            Name::Module(number) => self.enter(*number, rest),
            // What shares its name with a module has nothing inside.
            _ if is_module && !rest.is_empty() => Vec::new(),
            Name::Item => vec![Stop::Item(&module.path, name, rest.to_vec())],
            Name::Import(import) => {
                let path = [import, rest].concat();
                // `use bitflags::bitflags`: a crate has what bears its name.
                match import[0] == *first && !is_module {
                    true => outside(&path),
                    false => self.walk(module, &path, false),
                }
            }
        };
        meanings.iter().flat_map(lead).collect()
    }

    fn enter(&self, number: usize, path: &[String]) -> Vec<Stop<'_>> {
        let module = &self.modules[number];
        let mut stops = vec![Stop::Module(&module.path)];
        stops.extend(self.walk(module, path, true));
        stops
    }
}
