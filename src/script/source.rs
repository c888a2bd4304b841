//! What is changed in the code of scripts before LuaJIT compiles it, so that it
//! means what it means to Lua 5.1. Line numbers stay.
//!
//! **Escapes.** In strings Lua 5.1 takes a character behind a backslash as
//! itself if it knows no escape of it, as in `'\.'`. LuaJIT refuses these, and
//! knows some more. The backslash goes.
//!
//! **Tail calls.** In `return redis.call('incr', key)` Lua 5.1 keeps the function that calls
//! for as long as the callee runs if that is a function of C's, and so Redis
//! can name the line. LuaJIT drops it at once. In parentheses the call is no
//! tail call; they cut what it answers to one value, which is all that
//! `redis.call` answers, and all that anybody sees of what a script returns.

/// The code with parentheses around what the script itself returns, and around
/// calls of `redis.call` and `redis.pcall` that its functions return, and
/// without backslashes that say nothing. What is no Lua stays as it is.
pub fn for_luajit(code: &[u8]) -> Vec<u8> {
    let mut edits = Vec::new();
    if find(code, &mut edits).is_none() {
        return code.to_vec();
    }
    edits.sort_unstable();
    let mut result = Vec::with_capacity(code.len() + edits.len());
    let mut copied = 0;
    for (at, edit) in edits {
        result.extend_from_slice(&code[copied..at]);
        match edit {
            Edit::Insert(bracket) => {
                result.push(bracket);
                copied = at;
            }
            Edit::Remove => copied = at + 1,
        }
    }
    result.extend_from_slice(&code[copied..]);
    result
}

/// What is done at a place of the code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Edit {
    /// A bracket comes before what is there.
    Insert(u8),
    /// The byte that is there goes.
    Remove,
}

/// A return statement whose end has not come.
struct Return {
    /// Where its values begin.
    start: usize,
    /// How many blocks are around it, and brackets.
    blocks: usize,
    brackets: usize,
    /// It is the script's own, and no function's.
    of_script: bool,
    /// It has several values.
    several: bool,
    /// How many tokens its values have.
    tokens: usize,
    /// How far it looks like a call of `redis.call`.
    call: Call,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    /// So many of its tokens are there.
    Begun(usize),
    /// Its closing bracket was the last token.
    Complete,
    /// It is something else.
    Other,
}

/// Finds what is to change; `None` if the code is no Lua.
fn find(code: &[u8], edits: &mut Vec<(usize, Edit)>) -> Option<()> {
    let mut lexer = Lexer {
        code,
        at: 0,
        idle: Vec::new(),
    };
    // Whether each block that is open is a function.
    let mut blocks: Vec<bool> = Vec::new();
    let mut brackets = 0_usize;
    let mut returns: Vec<Return> = Vec::new();
    let mut last_end = 0;
    loop {
        let token = lexer.next()?;
        let text = token.as_ref().map_or(&b""[..], |(_, text)| *text);
        let ends = matches!(text, b"" | b"end" | b"else" | b"elseif" | b"until" | b";");
        if let Some(open) = returns.last_mut()
            && open.blocks == blocks.len()
            && open.brackets == brackets
        {
            if ends {
                let is_call = open.of_script || open.call == Call::Complete;
                if open.tokens > 0 && !open.several && is_call {
                    edits.push((open.start, Edit::Insert(b'(')));
                    edits.push((last_end, Edit::Insert(b')')));
                }
                returns.pop();
            } else {
                open.several |= text == b",";
                open.call = match (open.call, text) {
                    (Call::Begun(0), b"redis") => Call::Begun(1),
                    (Call::Begun(1), b".") => Call::Begun(2),
                    (Call::Begun(2), b"call" | b"pcall") => Call::Begun(3),
                    (Call::Begun(3), b"(") => Call::Begun(4),
                    _ => Call::Other,
                };
            }
        }
        let Some((end, text)) = token else {
            edits.extend(lexer.idle.iter().map(|&at| (at, Edit::Remove)));
            return Some(());
        };
        if let Some(open) = returns.last_mut() {
            open.tokens += 1;
        }
        match text {
            b"function" => blocks.push(true),
            b"do" | b"if" | b"repeat" => blocks.push(false),
            b"end" | b"until" => _ = blocks.pop()?,
            b"(" | b"[" | b"{" => brackets += 1,
            b")" | b"]" | b"}" => {
                brackets = brackets.checked_sub(1)?;
                if let Some(open) = returns.last_mut()
                    && open.call == Call::Begun(4)
                    && open.blocks == blocks.len()
                    && open.brackets == brackets
                {
                    open.call = Call::Complete;
                }
            }
            b"return" => returns.push(Return {
                start: end,
                blocks: blocks.len(),
                brackets,
                of_script: !blocks.contains(&true),
                several: false,
                tokens: 0,
                call: Call::Begun(0),
            }),
            _ => {}
        }
        last_end = end;
    }
}

/// Cuts code into tokens, as far as it matters where strings and comments end.
struct Lexer<'a> {
    code: &'a [u8],
    at: usize,
    /// Where backslashes are that say nothing.
    idle: Vec<usize>,
}

impl<'a> Lexer<'a> {
    /// The end and the text of the next token, or `Some(None)` at the end of
    /// the code; `None` if it is no Lua. Of a string the text is its quote.
    #[allow(clippy::should_implement_trait, reason = "it may fail")]
    fn next(&mut self) -> Option<Option<(usize, &'a [u8])>> {
        let code = self.code;
        loop {
            let rest = &code[self.at..];
            let Some(&first) = rest.first() else {
                return Some(None);
            };
            let start = self.at;
            if first.is_ascii_whitespace() || first == 0x0b {
                self.at += 1;
            } else if rest.starts_with(b"--") {
                self.at += 2;
                if self.long_bracket()?.is_none() {
                    let end = memchr::memchr(b'\n', &code[self.at..]);
                    self.at += end.unwrap_or(code.len() - self.at);
                }
            } else if matches!(first, b'"' | b'\'') {
                self.quoted(first)?;
                return Some(Some((self.at, &code[start..=start])));
            } else if first == b'[' && self.long_bracket()?.is_some() {
                return Some(Some((self.at, b"\"")));
            } else {
                let is_word =
                    |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 128;
                let len = rest.iter().take_while(|byte| is_word(byte)).count();
                self.at += len.max(1);
                return Some(Some((self.at, &code[start..self.at])));
            }
        }
    }

    fn quoted(&mut self, quote: u8) -> Option<()> {
        self.at += 1;
        loop {
            match self.code.get(self.at)? {
                b'\\' => {
                    let escaped = self.code.get(self.at + 1)?;
                    if !b"abfnrtv\\\"'\r\n0123456789".contains(escaped) {
                        self.idle.push(self.at);
                    }
                    self.at += 2;
                }
                &byte => {
                    self.at += 1;
                    if byte == quote {
                        return Some(());
                    }
                }
            }
        }
    }

    /// Skips `[==[ … ]==]`. `Some(None)` if there is none here, `None` if it
    /// does not end.
    fn long_bracket(&mut self) -> Option<Option<()>> {
        let rest = &self.code[self.at..];
        let level = rest
            .iter()
            .skip(1)
            .take_while(|&&byte| byte == b'=')
            .count();
        if rest.first() != Some(&b'[') || rest.get(1 + level) != Some(&b'[') {
            return Some(None);
        }
        let close = [b"]", "=".repeat(level).as_bytes(), b"]"].concat();
        let inside = &rest[2 + level..];
        let end = memchr::memmem::find(inside, &close)?;
        self.at += 2 + level + end + close.len();
        Some(Some(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_script_returns_is_put_in_parentheses() {
        for (code, expected) in [
            (
                "return redis.call('get', KEYS[1])",
                "return( redis.call('get', KEYS[1]))",
            ),
            ("return f(1) -- done\n", "return( f(1)) -- done\n"),
            ("return 1, 2", "return 1, 2"),
            ("return", "return"),
            ("return;", "return;"),
            (
                "if x then return f() end return g() ;",
                "if x then return( f()) end return( g()) ;",
            ),
            (
                "if x then return f() else return end",
                "if x then return( f()) else return end",
            ),
            (
                "do return {f(1, 2), g()} end",
                "do return( {f(1, 2), g()}) end",
            ),
            (
                "local function f(a) return g(a) end return f(1)",
                "local function f(a) return g(a) end return( f(1))",
            ),
            (
                "local f = function() return redis.call('x', {1}) end",
                "local f = function() return( redis.call('x', {1})) end",
            ),
            (
                "local f = function() return redis.pcall('x').ok end",
                "local f = function() return redis.pcall('x').ok end",
            ),
            (
                "return (function() return redis.call('a'), 1 end)()",
                "return( (function() return redis.call('a'), 1 end)())",
            ),
            (
                "return function() return 1 end",
                "return( function() return 1 end)",
            ),
            (
                "repeat return f() until true",
                "repeat return( f()) until true",
            ),
            (
                "while f() do return g() end",
                "while f() do return( g()) end",
            ),
            (
                "return 'return (' .. [[ ) ]] .. [==[ ]] ]==]",
                "return( 'return (' .. [[ ) ]] .. [==[ ]] ]==])",
            ),
            ("-- return (\nreturn f()", "-- return (\nreturn( f())"),
            (
                "--[[ return ( ]] return f()",
                "--[[ return ( ]] return( f())",
            ),
            ("return t[1](2)", "return( t[1](2))"),
            (
                "x.return_value = 1 return f",
                "x.return_value = 1 return( f)",
            ),
        ] {
            let got = for_luajit(code.as_bytes());
            assert_eq!(String::from_utf8_lossy(&got), expected);
        }
    }

    #[test]
    fn a_backslash_that_says_nothing_goes() {
        for (code, expected) in [
            (r"x = 'a\.b'", r"x = 'a.b'"),
            (r#"x = "\d\x41\z\u{1}""#, r#"x = "dx41zu{1}""#),
            (r#"x = '\n\\\'\"\65'"#, r#"x = '\n\\\'\"\65'"#),
            ("x = 'a\\\nb'", "x = 'a\\\nb'"),
            (r"x = [[ \. ]] -- '\.'", r"x = [[ \. ]] -- '\.'"),
        ] {
            let got = for_luajit(code.as_bytes());
            assert_eq!(String::from_utf8_lossy(&got), expected);
        }
    }

    #[test]
    fn what_is_no_lua_stays_as_it_is() {
        for code in [
            "return 'x",
            "return [[",
            "return )",
            "end return f()",
            "return \"a\\",
        ] {
            let got = for_luajit(code.as_bytes());
            assert_eq!(String::from_utf8_lossy(&got), code);
        }
    }
}
