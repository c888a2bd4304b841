//! What the reader of the sources takes for a use, and what not: on made-up libraries.

use super::sources::{Sources, Stop};
use super::{against_the_tour, circles};

/// Reads a library. Each line is a file of it, without `src/` and `.rs`, and its code.
fn read(library: &str) -> Sources {
    let text = |path: &str| {
        library.lines().find_map(|line| {
            let (name, code) = line.trim().split_once(": ")?;
            (format!("src/{name}.rs") == path).then(|| code.to_owned())
        })
    };
    Sources::read(&["src/lib.rs".to_owned()], &text)
}

/// The circles of a library whose `a` uses `b`, and whose `b` has this code.
fn circles_with(b: &str) -> Vec<String> {
    let a = "use crate::b::f; pub enum Thing { One } impl Thing { pub fn new() {} }";
    let library = format!("lib: mod a; mod b; pub use a::Thing;\na: {a}\nb: pub fn f() {{}} {b}");
    circles(&read(&library))
}

#[test]
fn a_circle_is_seen_however_the_other_file_is_named() {
    let circle = ["src/a.rs uses src/b.rs: f", "src/b.rs uses src/a.rs: Thing"];
    for b in [
        "use super::a::Thing;",
        "use {std::fmt, crate::{a::{Thing as Other}}};",
        "use crate::{a::{self}}; fn g() { a::Thing::new() }",
        "use crate::Thing;",
        "pub use crate::a::Thing;",
        "use crate::a as other; fn g(thing: Option<other::Thing>) {}",
        "fn g() { use super::a::Thing; }",
        "fn g() { let thing = crate::a::Thing::new(); }",
        "fn g() { matches!(thing, super::a::Thing::One) }",
        "fn g() { log!(0..crate::a::Thing::new()) }",
        "use crate::a::Thing::*;",
        "#[derive(crate::a::Thing)] struct Other;",
        "mod inside { use super::super::a::Thing; }",
        "macro_rules! one { () => { $crate::a::Thing::One } }",
    ] {
        assert_eq!(circles_with(b), circle, "{b}");
    }
}

#[test]
fn no_circle_is_seen_where_there_is_none() {
    for b in [
        "// use crate::a::Thing;",
        "fn g() { log!(\"crate::a::Thing\", thing.a::<u8>()) }",
        "use std::fmt as a; fn g() { a::Thing::new(); ::other::a::Thing::new(); }",
        "#[cfg(test)] mod tests { use crate::a::Thing; }",
        "use crate::a;",
        "use log::log; fn g() { log() }",
    ] {
        assert_eq!(circles_with(b), [""; 0], "{b}");
    }
}

#[test]
fn to_declare_a_module_and_to_show_what_is_in_it_is_not_to_use_it() {
    let settle = "engine/settle: use super::State; pub fn settle() {}";
    let shown = "engine/mod: mod settle; pub struct State; pub use settle::settle;";
    let library = format!("lib: mod engine;\n{settle}\n{shown}");
    assert_eq!(circles(&read(&library)), [""; 0]);
    let circle = [
        "src/engine/mod.rs uses src/engine/settle.rs: settle",
        "src/engine/settle.rs uses src/engine/mod.rs: State",
    ];
    let using = read(&format!("{library} fn run() {{ settle() }}"));
    assert_eq!(circles(&using), circle);
}

#[test]
fn who_uses_what_stands_above_is_named() {
    let tour = "//! ```text\n//! net      sockets\n//! db resp  data\n//! ```\n";
    let library = "lib: mod net; mod db; mod resp; mod new;
        net: pub use crate::db::Db; use crate::resp::Reply;
        db: pub struct Db; fn f() { crate::resp::Reply::new() }
        resp: pub struct Reply; use crate::net::Db;
        new: fn f() {}";
    let wrong = [
        "new is not both a module and in the tour",
        "src/db.rs uses resp: Reply",
        "src/db.rs uses resp: a name in it",
        "src/resp.rs uses db: Db",
        "src/resp.rs uses db: a name in it",
        "src/resp.rs uses net: a name in it",
    ];
    assert_eq!(
        Vec::from_iter(against_the_tour(&read(library), tour)),
        wrong
    );
}

#[test]
fn what_comes_from_outside_has_its_whole_path() {
    let library = "lib: use std::{thread, time::Instant as Now}; mod a;
        a: fn f() { crate::Now::now(); all!(0..::max!(1), y.elapsed(), \"z.quit()\") } // tokio";
    let mut outside = String::new();
    for (_, stop) in read(library).uses() {
        if let Stop::Outside(said) = stop {
            outside += &format!("{said} ");
        }
    }
    let told =
        "std::thread std::time::Instant std::time::Instant::now all! all max! max y .elapsed ";
    assert_eq!(outside, told);
}

#[test]
#[should_panic = "src/b.rs: cannot tell what crate::a::Nothing is"]
fn a_path_that_leads_nowhere_is_an_error() {
    circles_with("use crate::a::Nothing;");
}

#[test]
#[should_panic = "src/b.rs: cannot tell what crate::a::* is"]
fn all_of_a_module_at_once_is_an_error() {
    circles_with("use crate::a::*;");
}
