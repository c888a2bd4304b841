//! What embedders can name changes on purpose only: it is collected from the sources, and compared
//! with what was recorded.
//!
//! `RECORD=1 cargo test --test it api` records it anew. What was there before and differs then
//! breaks who uses it, and is worth a new version.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use syn::{Fields, ImplItem, Item, Type, UseTree, Visibility};

const ROOT: &str = "src/lib.rs";
const RECORDED: &str = "tests/it/api/public.rs.txt";

/// What anybody outside can name.
struct Api {
    /// Items that are shown of modules that cannot be named: the file, and the name.
    shown: BTreeSet<(PathBuf, String)>,
    /// Modules that can be named.
    modules: BTreeSet<PathBuf>,
    /// Types that can be named: the module at the top of the tree, and the name.
    types: BTreeSet<(String, String)>,
    text: String,
}

impl Api {
    fn of_library() -> Api {
        let mut api = Api {
            shown: BTreeSet::new(),
            modules: BTreeSet::new(),
            types: BTreeSet::new(),
            text: String::new(),
        };
        api.module("respd", Path::new(ROOT));
        api.shown();
        api.implementations();
        api
    }

    fn write(&mut self, place: &str, items: Vec<Item>) {
        if items.is_empty() {
            return;
        }
        let file = syn::File {
            shebang: None,
            frontmatter: None,
            attrs: Vec::new(),
            items,
        };
        let text = prettyplease::unparse(&file);
        self.text += &format!("// {place}\n\n{text}\n");
    }

    /// What can be named in a module, and in those inside it.
    fn module(&mut self, name: &str, path: &Path) {
        self.modules.insert(path.to_owned());
        let (mut items, mut inside) = (Vec::new(), Vec::new());
        for item in parse(path).items {
            match item {
                Item::Mod(module) if is_public(&module.vis) && module.content.is_none() => {
                    inside.push(module.ident.to_string());
                }
                Item::Use(shown) if is_public(&shown.vis) => {
                    leaves(&shown.tree, path, &mut self.shown);
                    items.push(Item::Use(shown));
                }
                item => items.extend(self.outside(path, item)),
            }
        }
        self.write(name, items);
        for module in inside {
            self.module(&format!("{name}::{module}"), &file_of(path, &module));
        }
    }

    fn shown(&mut self) {
        let mut items = Vec::new();
        for (path, name) in self.shown.clone() {
            if self.modules.contains(&path) {
                continue;
            }
            let named = |item: &Item| name_of(item).is_some_and(|found| found == name);
            let found = parse(&path).items.into_iter().find(named);
            let found = found.unwrap_or_else(|| panic!("no {name} in {}", path.display()));
            items.extend(self.outside(&path, found));
        }
        self.write("shown of modules that cannot be named", items);
    }

    /// What types can do that can be named.
    fn implementations(&mut self) {
        let mut items = Vec::new();
        for path in all_files(Path::new(ROOT).parent().expect("a folder")) {
            for item in parse(&path).items {
                if let Item::Impl(mut block) = item
                    && let Type::Path(of) = &*block.self_ty
                    && let Some(last) = of.path.segments.last()
                    && self.types.contains(&(top(&path), last.ident.to_string()))
                {
                    let is_trait = block.trait_.is_some();
                    block.attrs.clear();
                    block.items.retain_mut(|item| seen_outside(item, is_trait));
                    if is_trait || !block.items.is_empty() {
                        items.push(Item::Impl(block));
                    }
                }
            }
        }
        self.write("what types have", items);
    }

    /// An item as it looks from outside, if it can be seen there.
    fn outside(&mut self, path: &Path, mut item: Item) -> Option<Item> {
        if let (Item::Struct(_) | Item::Enum(_) | Item::Macro(_), Some(name)) =
            (&item, name_of(&item))
        {
            self.types.insert((top(path), name));
        }
        match &mut item {
            Item::Fn(function) if is_public(&function.vis) => {
                function.attrs.clear();
                function.block.stmts.clear();
            }
            Item::Struct(of) if is_public(&of.vis) => {
                of.attrs.retain(is_promise);
                hide_private(&mut of.fields);
            }
            Item::Enum(of) if is_public(&of.vis) => {
                of.attrs.retain(is_promise);
                for variant in &mut of.variants {
                    variant.attrs.retain(is_promise);
                    variant
                        .fields
                        .iter_mut()
                        .for_each(|field| field.attrs.clear());
                }
            }
            Item::Trait(of) if is_public(&of.vis) => of.attrs.clear(),
            Item::Type(of) if is_public(&of.vis) => of.attrs.clear(),
            Item::Const(of) if is_public(&of.vis) => {
                of.attrs.clear();
                *of.expr = syn::parse_str("_").expect("an expression");
            }
            Item::Static(of) if is_public(&of.vis) => {
                of.attrs.clear();
                *of.expr = syn::parse_str("_").expect("an expression");
            }
            // As `bitflags!` makes one.
            Item::Macro(of) if of.mac.tokens.to_string().contains("pub struct ") => {}
            _ => return None,
        }
        Some(item)
    }
}

/// The name of an item that may be shown.
fn name_of(item: &Item) -> Option<String> {
    let name = match item {
        Item::Struct(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Const(item) => &item.ident,
        Item::Static(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => {
            let text = item.mac.tokens.to_string();
            let (_, name) = text.split_once("pub struct ")?;
            return name.split_whitespace().next().map(str::to_owned);
        }
        _ => return None,
    };
    Some(name.to_string())
}

/// Whether an item of an `impl` can be named, which is left without what is inside.
fn seen_outside(item: &mut ImplItem, is_trait: bool) -> bool {
    match item {
        ImplItem::Fn(function) if !is_trait && is_public(&function.vis) => {
            function.attrs.clear();
            function.block.stmts.clear();
            true
        }
        ImplItem::Const(constant) if !is_trait && is_public(&constant.vis) => {
            constant.attrs.clear();
            true
        }
        ImplItem::Type(_) => is_trait,
        _ => false,
    }
}

/// The module at the top of the tree that a file belongs to.
fn top(path: &Path) -> String {
    let below = path.strip_prefix("src").expect("a source");
    let first = below.iter().next().expect("a name").to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

fn parse(path: &Path) -> syn::File {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The file of a module that is declared in the file `path`.
fn file_of(path: &Path, module: &str) -> PathBuf {
    let folder = match path.file_name().and_then(|name| name.to_str()) {
        Some("lib.rs" | "mod.rs") => path.parent().expect("a folder").to_owned(),
        _ => path.with_extension(""),
    };
    let file = folder.join(format!("{module}.rs"));
    match file.exists() {
        true => file,
        false => folder.join(module).join("mod.rs"),
    }
}

/// The library's files, without tests.
fn all_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut paths = Vec::from_iter(entries.map(|entry| entry.unwrap().path()));
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        let names = ["tests", "tests.rs", "cli", "main.rs"];
        if names.iter().any(|name| path.ends_with(name)) {
            continue;
        }
        if path.is_dir() {
            files.extend(all_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// Whether users of a type may rely on an attribute of it.
fn is_promise(attribute: &syn::Attribute) -> bool {
    ["derive", "non_exhaustive"]
        .iter()
        .any(|name| attribute.path().is_ident(name))
}

/// Those outside cannot see them, but whether there are some.
fn hide_private(fields: &mut Fields) {
    let hidden = fields.iter().any(|field| !is_public(&field.vis));
    for field in fields.iter_mut() {
        field.attrs.clear();
    }
    if let (Fields::Named(named), true) = (&mut *fields, hidden) {
        let seen = named.named.iter().filter(|field| is_public(&field.vis));
        let mut seen = Vec::from_iter(seen.cloned());
        let more: syn::FieldsNamed = syn::parse_str("{ private: () }").expect("fields");
        seen.extend(more.named);
        named.named = seen.into_iter().collect();
    } else if hidden {
        *fields = Fields::Unnamed(syn::parse_str("(())").expect("fields"));
    }
}

/// The items that a `use` leads to, from the file `path`.
fn leaves(tree: &UseTree, path: &Path, items: &mut BTreeSet<(PathBuf, String)>) {
    match tree {
        UseTree::Path(part) if part.ident == "crate" => leaves(&part.tree, Path::new(ROOT), items),
        UseTree::Path(part) => {
            leaves(&part.tree, &file_of(path, &part.ident.to_string()), items);
        }
        UseTree::Name(name) => _ = items.insert((path.to_owned(), name.ident.to_string())),
        UseTree::Group(group) => group
            .items
            .iter()
            .for_each(|tree| leaves(tree, path, items)),
        UseTree::Rename(_) | UseTree::Glob(_) => panic!("{}: a `use` to follow", path.display()),
    }
}

#[test]
fn what_embedders_can_name_is_what_was_recorded() {
    let api = Api::of_library().text;
    if std::env::var_os("RECORD").is_some() {
        fs::write(RECORDED, &api).unwrap();
    }
    let recorded = fs::read_to_string(RECORDED).unwrap_or_default();
    let lines = |text: &str| Vec::from_iter(text.lines().map(str::to_owned));
    let (before, now) = (lines(&recorded), lines(&api));
    let gone = before
        .iter()
        .filter(|line| !now.contains(line))
        .map(|line| format!("- {line}"));
    let come = now
        .iter()
        .filter(|line| !before.contains(line))
        .map(|line| format!("+ {line}"));
    let changes = Vec::from_iter(gone.chain(come));
    assert!(
        recorded == api,
        "the public interface has changed; if that is meant, record it with RECORD=1\n{}",
        changes.join("\n")
    );
}
