//! What the files of some crates say: the names that each declares, and the paths that it names.

use std::collections::BTreeMap;

use syn::buffer::{Cursor, TokenBuffer};
use syn::visit::{self, Visit};
use syn::{
    Attribute, ExprMethodCall, Ident, Item, ItemMacro, ItemMod, ItemUse, Macro, Meta, Path,
    UseTree, Visibility,
};

pub type Words = Vec<String>;

/// A module. What stands inside a function of it counts as its own.
#[derive(Default)]
pub struct Module {
    /// Its file.
    pub path: String,
    /// Where the files of modules inside it are.
    pub folder: String,
    /// The numbers of the module around it and of its crate.
    pub parent: Option<usize>,
    pub root: usize,
    pub names: BTreeMap<String, Vec<Name>>,
    /// The paths that it uses. What is no path is one of a single word: `.method`, `macro!`.
    pub used: Vec<Words>,
    /// The paths that it only makes known to others.
    pub shown: Vec<Words>,
}

/// What a name stands for. Functions, modules and macros may share one.
pub enum Name {
    Item,
    Module(usize),
    Import(Words),
}

/// Reads the crates that begin with the files `roots`, without what is for tests alone; `text` has
/// the files that are there. The number of a module is its place in the answer.
pub fn read(roots: &[String], text: &dyn Fn(&str) -> Option<String>) -> Vec<Module> {
    let mut reading = Reading {
        modules: Vec::new(),
        here: 0,
        text,
    };
    for path in roots {
        let root = Module {
            path: path.clone(),
            folder: path
                .rsplit_once('/')
                .expect("no root is outside a folder")
                .0
                .to_owned(),
            root: reading.modules.len(),
            ..Module::default()
        };
        reading.visit_module(root, None);
    }
    reading.modules
}

struct Reading<'a> {
    modules: Vec<Module>,
    /// The number of the module that is being read.
    here: usize,
    text: &'a dyn Fn(&str) -> Option<String>,
}

impl Reading<'_> {
    /// Reads a module, which stands in a file of its own if not in `item`.
    fn visit_module(&mut self, module: Module, item: Option<&ItemMod>) {
        let path = module.path.clone();
        let outer = std::mem::replace(&mut self.here, self.modules.len());
        self.modules.push(module);
        if let Some(item) = item {
            visit::visit_item_mod(self, item);
        } else {
            let text = (self.text)(&path).unwrap_or_else(|| panic!("{path} is not there"));
            let code = syn::parse_file(&text);
            self.visit_file(&code.unwrap_or_else(|error| panic!("{path}: {error}")));
        }
        self.here = outer;
    }

    fn here(&mut self) -> &mut Module {
        &mut self.modules[self.here]
    }

    fn declare(&mut self, name: impl ToString, meaning: Name) {
        let meanings = self.here().names.entry(name.to_string());
        meanings.or_default().push(meaning);
    }

    fn note(&mut self, path: Words) {
        self.here().used.push(path);
    }

    fn note_method(&mut self, name: &Ident) {
        self.note(vec![format!(".{name}")]);
    }

    fn note_macro(&mut self, path: Words) {
        self.note(vec![format!("{}!", path.join("::"))]);
        self.note(path);
    }

    /// Reads what a macro or an attribute is given: its words, which may be no Rust yet.
    fn visit_words(&mut self, mut at: Cursor) {
        // How many dots stand before: one makes a method or a field, two a range.
        let mut dots = 0;
        while let Some((_, mut next)) = at.token_tree() {
            let before = std::mem::take(&mut dots);
            if let Some((inside, ..)) = at.any_group() {
                self.visit_words(inside);
            } else if behind(at, ".").is_some() {
                dots = before + 1;
            } else if let Some((word, _)) = at.ident() {
                let mut path = vec![word.to_string()];
                while let Some((word, end)) = behind(next, "::").and_then(Cursor::ident) {
                    path.push(word.to_string());
                    next = end;
                }
                let is_macro = behind(next, "!").is_some_and(|next| next.any_group().is_some());
                match before {
                    1 => self.note_method(&word),
                    _ if is_macro => self.note_macro(path),
                    _ => self.note(path),
                }
            }
            at = next;
        }
    }
}

impl Visit<'_> for Reading<'_> {
    fn visit_item(&mut self, item: &Item) {
        visit::visit_item(self, item);
        let name = match item {
            Item::Const(item) => &item.ident,
            Item::Enum(item) => &item.ident,
            Item::Fn(item) => &item.sig.ident,
            Item::Static(item) => &item.ident,
            Item::Struct(item) => &item.ident,
            Item::Trait(item) => &item.ident,
            Item::Type(item) => &item.ident,
            _ => return,
        };
        self.declare(name, Name::Item);
    }

    /// What looks like a declaration in the body of a macro, as in `bitflags!`, is one.
    fn visit_item_macro(&mut self, item: &ItemMacro) {
        const BEFORE_A_NAME: [&str; 6] = ["const", "enum", "fn", "static", "struct", "type"];
        visit::visit_item_macro(self, item);
        if let Some(name) = &item.ident {
            return self.declare(name, Name::Item);
        }
        let body = TokenBuffer::new2(item.mac.tokens.clone());
        let mut at = body.begin();
        while let Some((_, next)) = at.token_tree() {
            if let (Some((word, _)), Some((name, _))) = (at.ident(), next.ident())
                && BEFORE_A_NAME.iter().any(|before| word == before)
            {
                self.declare(name, Name::Item);
            }
            at = next;
        }
    }

    fn visit_item_mod(&mut self, item: &ItemMod) {
        if is_for_tests(&item.attrs) {
            return;
        }
        let outer = &self.modules[self.here];
        let folder = format!("{}/{}", outer.folder, item.ident);
        let beside = format!("{folder}.rs");
        let module = Module {
            path: match item.content {
                Some(_) => outer.path.clone(),
                None if (self.text)(&beside).is_some() => beside,
                None => format!("{folder}/mod.rs"),
            },
            folder,
            parent: Some(self.here),
            root: outer.root,
            ..Module::default()
        };
        self.declare(&item.ident, Name::Module(self.modules.len()));
        self.visit_module(module, item.content.is_some().then_some(item));
    }

    fn visit_item_use(&mut self, item: &ItemUse) {
        for (path, name) in leaves(&item.tree) {
            self.declare(name, Name::Import(path.clone()));
            match item.vis {
                Visibility::Inherited => self.note(path),
                _ => self.here().shown.push(path),
            }
        }
    }

    fn visit_path(&mut self, path: &Path) {
        self.note(words(path));
        visit::visit_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &ExprMethodCall) {
        self.note_method(&call.method);
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, called: &Macro) {
        self.note_macro(words(&called.path));
        self.visit_words(TokenBuffer::new2(called.tokens.clone()).begin());
    }

    fn visit_attribute(&mut self, attribute: &Attribute) {
        if let Meta::List(list) = &attribute.meta {
            self.visit_words(TokenBuffer::new2(list.tokens.clone()).begin());
        }
    }
}

/// What stands behind the signs.
fn behind<'a>(at: Cursor<'a>, signs: &str) -> Option<Cursor<'a>> {
    signs.chars().try_fold(at, |at, sign| {
        let (punct, next) = at.punct()?;
        (punct.as_char() == sign).then_some(next)
    })
}

/// Whether they say `#[cfg(test)]`.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let condition = attribute.parse_args::<Ident>();
        attribute.path().is_ident("cfg") && condition.is_ok_and(|word| word == "test")
    })
}

fn words(path: &Path) -> Words {
    let segments = path.segments.iter();
    segments.map(|segment| segment.ident.to_string()).collect()
}

/// The paths that a `use` names, and the names that they get. That of a glob ends in `*`, which is
/// the name of nothing in a module: it would hide who uses what.
fn leaves(tree: &UseTree) -> Vec<(Words, String)> {
    let leaf = |word: &Ident, name: &Ident| vec![(vec![word.to_string()], name.to_string())];
    match tree {
        UseTree::Name(name) => leaf(&name.ident, &name.ident),
        UseTree::Rename(name) => leaf(&name.ident, &name.rename),
        UseTree::Glob(_) => vec![(vec!["*".to_owned()], "_".to_owned())],
        UseTree::Group(group) => group.items.iter().flat_map(leaves).collect(),
        UseTree::Path(path) => {
            let mut leaves = leaves(&path.tree);
            let first = path.ident.to_string();
            for (path, name) in &mut leaves {
                path.insert(0, first.clone());
                if name == "self" {
                    name.clone_from(&first);
                }
            }
            leaves
        }
    }
}
