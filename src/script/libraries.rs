//! The libraries of functions that FUNCTION LOAD has made known.

use std::collections::{BTreeMap, HashMap};

use super::host::Host;
use super::interpreter::Interpreter;
use super::registration::{Callback, Registered, name_of};
use super::shebang::ScriptFlags;
use crate::error::{Error, Result};
use crate::text::words;

/// All libraries, and who has which function.
#[derive(Default)]
pub struct Libraries {
    libraries: BTreeMap<Box<str>, Library>,
    /// Functions by their names in lower case.
    functions: Functions,
    /// How many functions the libraries have together.
    function_count: usize,
    /// Bytes of memory that the libraries hold.
    bytes: usize,
}

type Functions = HashMap<Box<str>, Place, foldhash::fast::RandomState>;

/// Where a function is.
struct Place {
    library: Box<str>,
    index: usize,
}

/// A library.
pub struct Library {
    /// Letters, digits and underscores.
    pub name: Box<str>,
    /// The text as it came.
    pub code: Box<[u8]>,
    /// In the order in which they were registered.
    pub functions: Vec<Registered>,
    /// The interpreter has the functions.
    is_loaded: bool,
}

/// What becomes of the libraries that are there when others are restored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Existing {
    /// They are forgotten.
    Flushed,
    /// They stay; none of the others may have the name of one.
    Kept,
    /// They stay, unless one of the others has their name.
    Replaced,
}

/// A function that is to be run.
pub struct Found {
    /// As it was registered.
    pub name: Box<str>,
    /// What it says of itself.
    pub flags: ScriptFlags,
    /// What runs.
    pub callback: Callback,
}

impl Libraries {
    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Library> {
        self.libraries.values()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.libraries.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.libraries.len()
    }

    /// How many functions they have together.
    pub fn function_count(&self) -> usize {
        self.function_count
    }

    /// Bytes of memory held, about, but for what the interpreter holds.
    pub fn memory(&self) -> usize {
        let entry = size_of::<Box<str>>() + size_of::<Place>() + 1;
        self.bytes + self.functions.capacity() * entry
    }

    /// The flags of a function, whose name may be in any case.
    pub fn flags(&self, name: &[u8]) -> Option<ScriptFlags> {
        let place = place_of(&self.functions, name)?;
        let library = self.libraries.get(&place.library)?;
        Some(library.functions.get(place.index)?.flags)
    }

    /// The function of this name in any case. Its library is loaded again if
    /// the interpreter that had it is gone.
    pub fn find(
        &mut self,
        name: &[u8],
        interpreter: &mut Interpreter,
        host: &mut dyn Host,
        memory_limit: usize,
    ) -> Result<Found> {
        let place = place_of(&self.functions, name).ok_or(Error::NO_FUNCTION)?;
        let library = self.libraries.get_mut(&place.library);
        let library = library.ok_or(Error::NO_FUNCTION)?;
        if !library.is_loaded {
            library.load_again(interpreter, host, memory_limit)?;
        }
        let function = library.functions.get(place.index);
        let function = function.ok_or(Error::NO_FUNCTION)?;
        Ok(Found {
            name: function.name.clone(),
            flags: function.flags,
            callback: function.callback,
        })
    }

    /// Adds a library, in the place of the one of its name if there is one,
    /// which it answers.
    ///
    /// # Errors
    ///
    /// Another library has a function of a name of one of its functions. The
    /// library is given back.
    pub fn insert(
        &mut self,
        library: Library,
    ) -> std::result::Result<Option<Library>, (Error, Library)> {
        if let Err(error) = self.check(&library, |owner| *owner == *library.name) {
            return Err((error, library));
        }
        Ok(self.put(library))
    }

    /// Adds libraries, in the place of those of their names, which it answers.
    ///
    /// # Errors
    ///
    /// One of the names is there, unless it may be replaced, or one of their
    /// functions is in another library. They are given back.
    pub fn join(
        &mut self,
        new: Libraries,
        replaces: bool,
    ) -> std::result::Result<Vec<Library>, (Error, Libraries)> {
        let checked = new.iter().try_for_each(|library| {
            if !replaces && self.contains(&library.name) {
                let text = format!("ERR Library {} already exists", library.name);
                return Err(Error::new(text));
            }
            self.check(library, |owner| new.contains(owner))
        });
        match checked {
            Err(error) => Err((error, new)),
            Ok(()) => {
                let libraries = new.libraries.into_values();
                Ok(libraries.filter_map(|library| self.put(library)).collect())
            }
        }
    }

    fn contains(&self, name: &str) -> bool {
        self.libraries.contains_key(name)
    }

    /// Whether a library's functions are in none but those that are to go.
    fn check(&self, library: &Library, goes: impl Fn(&str) -> bool) -> Result<()> {
        for function in &library.functions {
            let place = place_of(&self.functions, function.name.as_bytes());
            if place.is_some_and(|place| !goes(&place.library)) {
                let text = format!("ERR Function {} already exists", function.name);
                return Err(Error::new(text));
            }
        }
        Ok(())
    }

    fn put(&mut self, library: Library) -> Option<Library> {
        let replaced = self.remove(library.name.as_bytes());
        for (index, function) in library.functions.iter().enumerate() {
            let place = Place {
                library: library.name.clone(),
                index,
            };
            let name = function.name.to_ascii_lowercase();
            self.functions.insert(name.into(), place);
        }
        self.function_count += library.functions.len();
        self.bytes += library.memory();
        self.libraries.insert(library.name.clone(), library);
        replaced
    }

    /// Removes a library.
    pub fn remove(&mut self, name: &[u8]) -> Option<Library> {
        let library = self.libraries.remove(std::str::from_utf8(name).ok()?)?;
        for function in &library.functions {
            self.functions.remove(&*function.name.to_ascii_lowercase());
        }
        self.function_count -= library.functions.len();
        self.bytes -= library.memory();
        if self.functions.len() * 4 < self.functions.capacity() {
            self.functions.shrink_to_fit();
        }
        Some(library)
    }

    /// The numbers of all functions.
    pub fn callbacks(&self) -> impl Iterator<Item = Callback> {
        self.iter().flat_map(Library::callbacks)
    }

    /// The interpreter is gone that had the functions.
    pub fn forget_loaded(&mut self) {
        let libraries = self.libraries.values_mut();
        libraries.for_each(|library| library.is_loaded = false);
    }
}

/// Where the function of this name is.
fn place_of<'p>(functions: &'p Functions, name: &[u8]) -> Option<&'p Place> {
    functions.get(&*name_of(name)?.to_ascii_lowercase())
}

impl Library {
    /// Loads a library from its text. `known` are those that have a name
    /// already; with `replaces` it may be one of these.
    pub fn load(
        text: &[u8],
        (known, replaces): (&Libraries, bool),
        interpreter: &mut Interpreter,
        host: &mut dyn Host,
        memory_limit: usize,
    ) -> Result<Library> {
        let (name, code) = split(text)?;
        if !replaces && known.contains(&name) {
            let text = format!("ERR Library '{name}' already exists");
            return Err(Error::new(text));
        }
        let functions = interpreter.load(code, host, memory_limit);
        let functions = functions.map_err(Error::raised)?;
        if functions.is_empty() {
            return Err(Error::NO_FUNCTIONS_REGISTERED);
        }
        Ok(Library {
            name,
            code: text.into(),
            functions,
            is_loaded: true,
        })
    }

    /// The numbers of its functions.
    pub fn callbacks(&self) -> impl Iterator<Item = Callback> {
        self.functions.iter().map(|function| function.callback)
    }

    /// Has a new interpreter load what an old one had.
    fn load_again(
        &mut self,
        interpreter: &mut Interpreter,
        host: &mut dyn Host,
        memory_limit: usize,
    ) -> Result<()> {
        let (_, code) = split(&self.code)?;
        let again = interpreter.load(code, host, memory_limit);
        let again = again.map_err(Error::raised)?;
        // The same code, which sees nothing else, registers the same functions. But it may do so
        // in another order, as it finds them in a table.
        let numbers: HashMap<_, _> = again
            .iter()
            .map(|function| (&function.name, function.callback))
            .collect();
        for function in &mut self.functions {
            let number = numbers.get(&function.name).ok_or(Error::NO_FUNCTION)?;
            function.callback = *number;
        }
        self.is_loaded = true;
        Ok(())
    }

    /// Bytes of memory held, about.
    fn memory(&self) -> usize {
        let function = |function: &Registered| {
            let description = function.description.as_ref();
            // A name is also in the table of all functions, with that of the library.
            let names = 2 * function.name.len() + self.name.len();
            size_of::<Registered>() + names + description.map_or(0, |text| text.len())
        };
        let functions: usize = self.functions.iter().map(function).sum();
        size_of::<Library>() + 2 * self.name.len() + self.code.len() + functions
    }
}

/// Splits a library's text into the name that its first line tells, and the
/// code. That begins with the line's end, so that lines keep their numbers.
fn split(text: &[u8]) -> Result<(Box<str>, &[u8])> {
    let line = text.strip_prefix(b"#!").ok_or(Error::NO_LIBRARY_METADATA)?;
    // Redis reads the line as a C string.
    let end = memchr::memchr2(b'\n', 0, line).filter(|end| line[*end] == b'\n');
    let (line, code) = line.split_at(end.ok_or(Error::LIBRARY_METADATA)?);
    // The name of the interpreter stands directly behind `#!`, and may be missing.
    let words = words::split(&[b"#!", line].concat()).ok_or(Error::LIBRARY_METADATA)?;
    let (engine, metadata) = words.split_first().ok_or(Error::LIBRARY_METADATA)?;
    let mut name = None;
    for word in metadata {
        let given = word.split_at_checked(b"name=".len());
        let Some((_, given)) = given.filter(|(key, _)| key.eq_ignore_ascii_case(b"name=")) else {
            let before = "ERR Invalid metadata value given: ";
            return Err(Error::quoting(before, word, ""));
        };
        if name.replace(given).is_some() {
            return Err(Error::LIBRARY_NAMED_TWICE);
        }
    }
    let name = name.ok_or(Error::LIBRARY_NOT_NAMED)?;
    let name = name_of(name).ok_or(Error::LIBRARY_NAME)?;
    let engine = engine.get(2..).unwrap_or_default();
    if !engine.eq_ignore_ascii_case(b"lua") {
        return Err(Error::quoting("ERR Engine '", engine, "' not found"));
    }
    Ok((name.into(), code))
}

#[cfg(test)]
mod tests {
    use super::super::{Existing, Program, Scripts};
    use std::time::Duration;

    use super::*;
    use crate::resp::{Argv, Output, OwnedArgv, Protocol, Reply};

    /// A server that knows no command, and has a script end after so many looks.
    struct Patient(usize);

    impl Host for Patient {
        fn call(&mut self, _: Argv<'_>, reply: &mut Reply<'_>) {
            reply.error(&Error::UNKNOWN_IN_SCRIPT);
        }

        fn may_run(&mut self, _: Argv<'_>) -> Option<bool> {
            None
        }

        fn look_around(&mut self, _: Duration) -> Option<&'static str> {
            self.0 = self.0.checked_sub(1)?;
            (self.0 == 0).then_some("ERR it is enough")
        }

        fn uptime(&self) -> Duration {
            Duration::ZERO
        }
    }

    const LIMIT: usize = 64 * 1024 * 1024;

    fn load_as(scripts: &mut Scripts, text: &str, replaces: bool) -> String {
        let loaded = scripts.load_library(text.as_bytes(), replaces, &mut Patient(100_000), LIMIT);
        loaded.map_or_else(|error| error.to_string(), String::from)
    }

    fn load(scripts: &mut Scripts, text: &str) -> String {
        load_as(scripts, text, false)
    }

    fn restore(scripts: &mut Scripts, texts: &[&str], existing: Existing) -> String {
        let texts = texts.iter().map(|text| Ok(text.as_bytes().into()));
        let restored = scripts.restore_libraries(texts, existing, &mut Patient(100_000), LIMIT);
        restored.map_or_else(|error| error.to_string(), |()| "OK".to_owned())
    }

    /// What a function answers to a key and an argument.
    fn call(scripts: &mut Scripts, name: &str) -> String {
        let mut interpreter = scripts.lend().unwrap();
        let mut output = Output::default();
        let mut host = Patient(100_000);
        let found = scripts
            .libraries
            .find(name.as_bytes(), &mut interpreter, &mut host, LIMIT);
        let answered = found.and_then(|found| {
            let words = |word: &'static [u8]| OwnedArgv::new([word].into_iter());
            let (keys, args) = (words(b"key"), words(b"argument"));
            let reply = &mut Reply::new(&mut output, Protocol::Resp2);
            let program = Program::Function(found.callback);
            let words = (keys.as_argv(), args.as_argv());
            let done = interpreter.run(program, words, &mut host, LIMIT, reply);
            done.map_err(|failure| failure.error(&found.name))
        });
        scripts.give_back(interpreter);
        match answered {
            Ok(()) => String::from_utf8_lossy(&output.into_vec())
                .trim()
                .replace("\r\n", " "),
            Err(error) => error.to_string(),
        }
    }

    /// A library with functions that answer a number.
    fn library(name: &str, functions: &str, number: i32) -> String {
        let mut text = format!("#!lua name={name}\n");
        for function in functions.split(' ') {
            text += "redis.register_function('";
            text += &format!("{function}', function() return {number} end)\n");
        }
        text
    }

    /// The names of all libraries, with those of their functions.
    fn listed(scripts: &Scripts) -> String {
        let libraries = scripts.libraries.iter().map(|library| {
            let names: Vec<_> = library.functions.iter().map(|known| &*known.name).collect();
            format!("{}: {}", library.name, names.join(" "))
        });
        libraries.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn what_cannot_be_loaded_leaves_everything_as_it_was() {
        let mut scripts = Scripts::default();
        load(&mut scripts, &library("a", "f g", 1));
        load(&mut scripts, &library("b", "h", 2));
        let memory = scripts.libraries.memory();
        for (text, error) in [
            ("return 1", "ERR Missing library metadata"),
            ("#!lua name=a", "ERR Invalid library metadata"),
            ("#!lua\nx", "ERR Library name was not given"),
            (
                "#!lua name=a\nx",
                "ERR Error compiling function: user_function:2: '=' expected near '<eof>'",
            ),
            ("#!lua name=a\n", "ERR No functions registered"),
            (
                &library("a", "f f", 3),
                "ERR Error registering functions: ERR Function already exists in the library",
            ),
            (&library("a", "f h", 3), "ERR Function h already exists"),
            (&library("a", "f H", 3), "ERR Function H already exists"),
            (&library("c", "i h", 3), "ERR Function h already exists"),
            (
                &(library("a", "f", 3) + "while true do end"),
                "ERR Error registering functions: ERR it is enough",
            ),
        ] {
            assert_eq!(load_as(&mut scripts, text, true), error, "{text}");
            assert_eq!(listed(&scripts), "a: f g, b: h", "{text}");
            assert_eq!(scripts.libraries.memory(), memory, "{text}");
            assert_eq!(call(&mut scripts, "f"), ":1", "{text}");
        }
        let exists = "ERR Library 'a' already exists";
        assert_eq!(load(&mut scripts, &library("a", "f", 3)), exists);
        assert_eq!(load_as(&mut scripts, &library("a", "f", 3), true), "a");
        assert_eq!(call(&mut scripts, "F"), ":3");
        assert_eq!(call(&mut scripts, "g"), "ERR Function not found");
    }

    #[test]
    fn what_cannot_be_restored_leaves_everything_as_it_was() {
        use Existing::{Flushed, Kept, Replaced};
        let mut scripts = Scripts::default();
        load(&mut scripts, &library("a", "f", 1));
        load(&mut scripts, &library("b", "g", 1));
        let (a, c) = (library("a", "h", 2), library("c", "i", 2));
        let taken = library("d", "g", 2);
        for (texts, existing, error) in [
            (&[&*c, "x"][..], Flushed, "ERR Missing library metadata"),
            (&[&c, &c], Flushed, "ERR Library 'c' already exists"),
            (
                &[&c, &library("d", "I", 2)],
                Flushed,
                "ERR Function I already exists",
            ),
            (&[&c, &a], Kept, "ERR Library a already exists"),
            (&[&a, &taken], Replaced, "ERR Function g already exists"),
        ] {
            assert_eq!(restore(&mut scripts, texts, existing), error);
            assert_eq!(listed(&scripts), "a: f, b: g", "{error}");
            assert_eq!(call(&mut scripts, "f"), ":1", "{error}");
        }
        assert_eq!(restore(&mut scripts, &[&c], Kept), "OK");
        assert_eq!(listed(&scripts), "a: f, b: g, c: i");
        // A function may move to a library in the same payload.
        let moved = library("c", "g", 3);
        assert_eq!(
            restore(&mut scripts, &[&moved, &library("b", "i", 3)], Replaced),
            "OK"
        );
        assert_eq!(listed(&scripts), "a: f, b: i, c: g");
        assert_eq!(call(&mut scripts, "g"), ":3");
        assert_eq!(restore(&mut scripts, &[&a], Flushed), "OK");
        assert_eq!(listed(&scripts), "a: h");
        assert_eq!(call(&mut scripts, "g"), "ERR Function not found");
        assert_eq!(call(&mut scripts, "h"), ":2");
    }

    #[test]
    fn functions_keep_what_they_remember_until_the_interpreter_is_lost() {
        let mut scripts = Scripts::default();
        let text = "#!lua name=a\nlocal n = 0\nredis.register_function('f', function(keys, args) n \
            = n + 1 return keys[1] .. args[1] .. n end)";
        load(&mut scripts, text);
        assert_eq!(call(&mut scripts, "f"), "$12 keyargument1");
        scripts.flush();
        assert_eq!(call(&mut scripts, "f"), "$12 keyargument2");
        // One that panicked has not given it back.
        drop(scripts.lend());
        assert_eq!(call(&mut scripts, "f"), "$12 keyargument1");
        assert_eq!(call(&mut scripts, "f"), "$12 keyargument2");
        scripts.flush_libraries();
        assert_eq!(scripts.memory(), 0);
        assert_eq!(call(&mut scripts, "f"), "ERR Function not found");
    }

    #[test]
    fn scripts_and_functions_do_not_see_each_other() {
        let mut scripts = Scripts::default();
        let text = "#!lua name=a\nredis.register_function('f', function() return type(rawget(_G, \
            'KEYS')) .. type(rawget(redis, 'register_function')) end)";
        load(&mut scripts, text);
        assert_eq!(call(&mut scripts, "f"), "$6 nilnil");
        let mut interpreter = scripts.lend().unwrap();
        let code = b"return {rawget(_G, 'f') == nil, redis.register_function == nil, #KEYS}";
        let script = interpreter.compile(code).unwrap();
        let mut output = Output::default();
        let none = OwnedArgv::new(std::iter::empty());
        let words = (none.as_argv(), none.as_argv());
        let reply = &mut Reply::new(&mut output, Protocol::Resp2);
        let program = Program::Script(script);
        let done = interpreter.run(program, words, &mut Patient(100_000), LIMIT, reply);
        assert!(done.is_ok());
        assert_eq!(output.into_vec(), b"*3\r\n:1\r\n:1\r\n:0\r\n");
    }

    #[test]
    fn the_code_of_a_library_takes_neither_memory_nor_names_without_bound() {
        let mut scripts = Scripts::default();
        let not_enough = "ERR Error registering functions: ERR not enough memory";
        let long = "#!lua name=a\nlocal long = ('x'):rep(1e6)\nfor i = 1, 100 do \
            redis.register_function{function_name = 'f' .. i, description = long, callback = \
            function() end} end";
        assert_eq!(load(&mut scripts, long), not_enough);
        let large = "#!lua name=a\nlocal large = {} for i = 1, 1e9 do large[i] = i end";
        assert_eq!(load(&mut scripts, large), not_enough);
        let many = "#!lua name=a\nfor i = 1, 20000 do redis.register_function('f' .. i, \
            function() return i end) end";
        assert_eq!(load(&mut scripts, many), "a");
        assert_eq!(call(&mut scripts, "f20000"), ":20000");
        assert!(scripts.remove_library(b"a"));
        assert!(!scripts.remove_library(b"a"));
        assert!(
            scripts.libraries.memory() < 1000,
            "{}",
            scripts.libraries.memory()
        );
    }

    #[test]
    fn the_first_line_tells_name_and_engine() {
        let name = |text: &[u8]| split(text).map(|(name, _)| name.into_string());
        for (text, want) in [
            (&b"#!lua name=lib\nx"[..], Ok("lib")),
            (b"#!LUA \t NAME=lib \r\nx", Ok("lib")),
            (b"#!lua 'name=lib'\nx", Ok("lib")),
            (b"#!lua name=\"l\\x69b\"\nx", Ok("lib")),
            (
                b"#! lua name=lib\nx",
                Err("ERR Invalid metadata value given: lua"),
            ),
            (b"#!lua\0 name=lib\nx", Err("ERR Invalid library metadata")),
            (b"#!lua 'name=lib\nx", Err("ERR Invalid library metadata")),
            (
                b"#!lua name=a name=b\nx",
                Err("ERR Invalid metadata value, name argument was given multiple times"),
            ),
            (
                b"#!lua nam\nx",
                Err("ERR Invalid metadata value given: nam"),
            ),
            (b"#!js name=a\nx", Err("ERR Engine 'js' not found")),
            (
                b"#!js name=\nx",
                Err(
                    "ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one character long",
                ),
            ),
        ] {
            let want = want.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(name(text).map_err(|error| error.to_string()), want);
        }
    }
}
