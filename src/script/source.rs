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
//!
//! What LuaJIT takes for numbers and Lua 5.1 does not is found here as well:
//! `1LL` and `1i` would be values of types that are none of Lua's, with the
//! library behind them that scripts must not have.
//!
//! All of it is done in one pass, which keeps nothing that grows with the code
//! but the result.

use std::borrow::Cow;
use std::ops::Range;

/// The code with parentheses around what the script itself returns, and around
/// calls of `redis.call` and `redis.pcall` that its functions return, and
/// without backslashes that say nothing. What is no Lua stays as it is.
pub fn for_luajit(code: &[u8]) -> Cow<'_, [u8]> {
    rewritten(code, parenthesize)
}

/// The code without backslashes that say nothing, and otherwise as it is:
/// others see all that it returns. What is no Lua stays as it is.
pub fn with_escapes_for_luajit(code: &[u8]) -> Cow<'_, [u8]> {
    rewritten(code, |lexer| {
        while lexer.next()?.is_some() {}
        Some(())
    })
}

/// Where the first number is that LuaJIT knows and Lua 5.1 does not.
pub fn foreign_number(code: &[u8]) -> Option<Range<usize>> {
    let mut lexer = Lexer::new(code);
    while let Some(Some(text)) = lexer.next() {
        let is_foreign = |byte: &u8| matches!(byte, b'i' | b'I' | b'l' | b'L' | b'u' | b'U' | b'_');
        let is_number = text.iter().find(|&&byte| byte != b'.');
        if is_number.is_some_and(u8::is_ascii_digit)
            && (text.iter().any(is_foreign) || matches!(text, [b'0', b'b' | b'B', ..]))
        {
            return Some(lexer.at - text.len()..lexer.at);
        }
    }
    None
}

fn rewritten(code: &[u8], rewrite: impl FnOnce(&mut Lexer<'_>) -> Option<()>) -> Cow<'_, [u8]> {
    let mut lexer = Lexer::new(code);
    if rewrite(&mut lexer).is_none() || lexer.result.is_empty() {
        return Cow::Borrowed(code);
    }
    lexer.copy(code.len());
    Cow::Owned(lexer.result)
}

/// A return statement whose end has not come.
struct Return {
    /// Where in the result there is a blank before its values.
    blank: usize,
    /// How many blocks are around it, and brackets.
    blocks: usize,
    brackets: usize,
    /// It is the script's own, and no function's.
    of_script: bool,
    /// It has values, or several.
    any: bool,
    several: bool,
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

/// Neither LuaJIT nor Lua 5.1 takes code where blocks and brackets are nested
/// deeper than 200.
const NESTING_MAX: usize = 250;

/// Puts what is returned in parentheses; `None` if the code is no Lua.
fn parenthesize(lexer: &mut Lexer<'_>) -> Option<()> {
    // Whether each block that is open is a function, and how many are.
    let mut blocks: Vec<bool> = Vec::new();
    let mut functions = 0_usize;
    let mut brackets = 0_usize;
    let mut returns: Vec<Return> = Vec::new();
    let mut last_end = 0;
    let mut was_redis = false;
    // From where a function has a local of this name on, its `redis.call` may answer several
    // values. Such a local is declared without a dot behind it.
    let mut redis_is_known = true;
    loop {
        let token = lexer.next()?;
        let text = token.unwrap_or_default();
        redis_is_known &= !was_redis || text == b".";
        was_redis = text == b"redis";
        let ends = matches!(text, b"" | b"end" | b"else" | b"elseif" | b"until" | b";");
        if let Some(open) = returns.last_mut()
            && open.blocks == blocks.len()
            && open.brackets == brackets
        {
            if ends {
                let is_call = redis_is_known && open.call == Call::Complete;
                if open.any && !open.several && (open.of_script || is_call) {
                    lexer.copy(last_end);
                    lexer.result.push(b')');
                    lexer.result[open.blank] = b'(';
                }
                returns.pop();
            } else {
                open.any = true;
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
        if token.is_none() {
            return Some(());
        }
        match text {
            b"function" => {
                blocks.push(true);
                functions += 1;
            }
            b"do" | b"if" | b"repeat" => blocks.push(false),
            b"end" | b"until" => functions -= usize::from(blocks.pop()?),
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
            b"return" => {
                let is_within = |open: &Return| open.blocks == blocks.len();
                if returns.last().is_some_and(is_within) {
                    return None;
                }
                returns.push(Return {
                    blank: lexer.blank(),
                    blocks: blocks.len(),
                    brackets,
                    of_script: functions == 0,
                    any: false,
                    several: false,
                    call: Call::Begun(0),
                });
            }
            _ => {}
        }
        if blocks.len() + brackets > NESTING_MAX {
            return None;
        }
        last_end = lexer.at;
    }
}

/// Cuts code into tokens, as far as it matters where strings and comments end,
/// and copies it without the backslashes that say nothing.
struct Lexer<'a> {
    code: &'a [u8],
    /// Where the next token is looked for.
    at: usize,
    /// What becomes of the code up to `copied`; none of it has changed if this is empty.
    result: Vec<u8>,
    copied: usize,
}

impl<'a> Lexer<'a> {
    fn new(code: &'a [u8]) -> Lexer<'a> {
        Lexer {
            code,
            at: 0,
            result: Vec::new(),
            copied: 0,
        }
    }

    /// Adds what has not been copied to the result.
    fn copy(&mut self, end: usize) {
        self.result.extend_from_slice(&self.code[self.copied..end]);
        self.copied = end;
    }

    /// Where in the result a blank is that follows the token. It is put there
    /// if there is none.
    fn blank(&mut self) -> usize {
        if let Some(b' ' | b'\t') = self.code.get(self.at) {
            return self.result.len() + (self.at - self.copied);
        }
        self.copy(self.at);
        self.result.push(b' ');
        self.result.len() - 1
    }

    /// The text of the next token, or `Some(None)` at the end of the code;
    /// `None` if it is no Lua. Of a string the text is its quote.
    #[allow(clippy::should_implement_trait, reason = "it may fail")]
    fn next(&mut self) -> Option<Option<&'a [u8]>> {
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
                    let end = memchr::memchr2(b'\n', b'\r', &code[self.at..]);
                    self.at += end.unwrap_or(code.len() - self.at);
                }
            } else if matches!(first, b'"' | b'\'') {
                self.quoted(first)?;
                return Some(Some(&code[start..=start]));
            } else if first == b'[' && self.long_bracket()?.is_some() {
                return Some(Some(b"\""));
            } else {
                let is_number = match rest {
                    [b'.', second, ..] => second.is_ascii_digit(),
                    _ => first.is_ascii_digit(),
                };
                let len = match is_number {
                    true => number_len(rest),
                    false => rest.iter().take_while(|byte| is_word(byte)).count(),
                };
                self.at += len.max(1);
                return Some(Some(&code[start..self.at]));
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
                        self.copy(self.at);
                        self.copied += 1;
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
        if rest.first() != Some(&b'[') {
            return Some(None);
        }
        let level = signs(&rest[1..]);
        if rest.get(1 + level) != Some(&b'[') {
            return Some(None);
        }
        self.at += 2 + level;
        loop {
            let inside = &self.code[self.at..];
            let end = memchr::memchr(b']', inside)? + 1;
            let of_end = signs(&inside[end..]);
            self.at += end + of_end;
            if of_end == level && self.code.get(self.at) == Some(&b']') {
                self.at += 1;
                return Some(Some(()));
            }
        }
    }
}

/// How many `=` there are.
fn signs(code: &[u8]) -> usize {
    code.iter().take_while(|&&byte| byte == b'=').count()
}

fn is_word(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 128
}

/// The length of what LuaJIT reads as one number, whether it is one or not.
fn number_len(code: &[u8]) -> usize {
    let exponent = match code {
        [b'0', b'x' | b'X', ..] => b'p',
        _ => b'e',
    };
    let mut before = 0;
    let inside = code.iter().take_while(|byte| {
        let is_sign = matches!(byte, b'+' | b'-') && before == exponent;
        before = byte.to_ascii_lowercase();
        is_sign || **byte == b'.' || is_word(byte)
    });
    inside.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_script_returns_is_put_in_parentheses() {
        for (code, expected) in [
            (
                "return redis.call('get', KEYS[1])",
                "return(redis.call('get', KEYS[1]))",
            ),
            ("return f(1) -- done\n", "return(f(1)) -- done\n"),
            ("return 1, 2", "return 1, 2"),
            ("return", "return "),
            ("return;", "return ;"),
            (
                "if x then return f() end return g() ;",
                "if x then return(f()) end return(g()) ;",
            ),
            (
                "if x then return f() else return end",
                "if x then return(f()) else return end",
            ),
            (
                "do return {f(1, 2), g()} end",
                "do return({f(1, 2), g()}) end",
            ),
            (
                "local function f(a) return g(a) end return f(1)",
                "local function f(a) return g(a) end return(f(1))",
            ),
            (
                "local f = function() return redis.call('x', {1}) end",
                "local f = function() return(redis.call('x', {1})) end",
            ),
            (
                "local f = function() return redis.pcall('x').ok end",
                "local f = function() return redis.pcall('x').ok end",
            ),
            (
                "return (function() return redis.call('a'), 1 end)()",
                "return((function() return redis.call('a'), 1 end)())",
            ),
            (
                "return function() return 1 end",
                "return(function() return 1 end)",
            ),
            (
                "repeat return f() until true",
                "repeat return(f()) until true",
            ),
            (
                "while f() do return g() end",
                "while f() do return(g()) end",
            ),
            (
                "return 'return (' .. [[ ) ]] .. [==[ ]] ]==]",
                "return('return (' .. [[ ) ]] .. [==[ ]] ]==])",
            ),
            ("-- return (\nreturn f()", "-- return (\nreturn(f())"),
            (
                "--[[ return ( ]] return f()",
                "--[[ return ( ]] return(f())",
            ),
            ("return t[1](2)", "return(t[1](2))"),
            (
                "x.return_value = 1 return f",
                "x.return_value = 1 return(f)",
            ),
            ("return{f()}", "return({f()})"),
            ("return\nf()", "return(\nf())"),
            (
                "function f() return redis . --[[ ( ]] call ( 'x' ) --\rend",
                "function f() return(redis . --[[ ( ]] call ( 'x' )) --\rend",
            ),
            (
                "function f() return x.redis.call('x') end",
                "function f() return x.redis.call('x') end",
            ),
            (
                "function f() return redis.call('x'):y() end",
                "function f() return redis.call('x'):y() end",
            ),
            (
                r"local x = 'a\.b' return 'a\.b' .. [[\.]]",
                r"local x = 'a.b' return('a.b' .. [[\.]])",
            ),
        ] {
            let got = for_luajit(code.as_bytes());
            assert_eq!(String::from_utf8_lossy(&got), expected);
        }
    }

    #[test]
    fn what_a_function_returns_stays_if_redis_may_be_a_local() {
        for code in [
            "local redis = {} function f() return redis.call() end",
            "function f(redis) return redis.call() end",
            "for redis in x do f(function() return redis.call() end) end",
            "local redis -- .\nfunction f() return redis.pcall() end",
        ] {
            let got = for_luajit(code.as_bytes());
            assert_eq!(String::from_utf8_lossy(&got), code);
        }
    }

    #[test]
    fn code_that_is_loaded_has_its_escapes_changed_alone() {
        for (code, expected) in [
            (r"return '\.'", r"return '.'"),
            (r"return '\x41', f()", r"return 'x41', f()"),
            (r"return redis.call('\n')", r"return redis.call('\n')"),
            (r"return '\.", r"return '\."),
        ] {
            let got = with_escapes_for_luajit(code.as_bytes());
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
            (
                r"x = [=[ ]] ]==] '\.' ]=] .. '\.'",
                r"x = [=[ ]] ]==] '\.' ]=] .. '.'",
            ),
            ("-- '\rx = '\\.'", "-- '\rx = '.'"),
            (r"x = [[ \. ]] -- '\.'", r"x = [[ \. ]] -- '\.'"),
        ] {
            let got = for_luajit(code.as_bytes());
            assert_eq!(String::from_utf8_lossy(&got), expected);
        }
    }

    #[test]
    fn numbers_of_luajit_s_own_are_found() {
        for (code, expected) in [
            ("return 1LL", "1LL"),
            ("x=0x1full+1", "0x1full"),
            ("x = {1.i}", "1.i"),
            ("x = .5I", ".5I"),
            ("x = 0b11", "0b11"),
            ("x = 1e+5i", "1e+5i"),
            ("x = 0x1.ap-2i", "0x1.ap-2i"),
            ("-- it's\rreturn 2LLU", "2LLU"),
            ("x = 3..1u", "3..1u"),
            ("x = 1_000", "1_000"),
        ] {
            let found = foreign_number(code.as_bytes()).map(|range| &code[range]);
            assert_eq!(found, Some(expected), "{code}");
        }
        for code in [
            "return 1 + 0x1F - 1e5 .. 'x'",
            "x1LL = y.i[1].u",
            "return '1LL' .. [[ 1i ]] -- 1LL",
            "x = 0xbe .. 0xB",
            "return 1 ..i",
        ] {
            assert_eq!(foreign_number(code.as_bytes()), None, "{code}");
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
            "return return f()",
            "return (return f())",
            &[r"x = '\.' ", &"do ".repeat(300)].concat(),
            &[r"x = '\.' return ", &"(".repeat(300)].concat(),
            // This took minutes when each return counted the blocks around it.
            &["do ".repeat(100_000), "return ".repeat(200_000)].concat(),
        ] {
            let got = for_luajit(code.as_bytes());
            assert_eq!(String::from_utf8_lossy(&got), code);
        }
    }
}
