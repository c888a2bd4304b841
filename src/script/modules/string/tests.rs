//! The string library against what Redis answers.

use crate::script::modules::testing;

/// Scripts, and what redis-server 7.0.15 answers.
const EXPECTED: &[(&str, &str)] = &[
    (
        r##"local a, b = string.find("", "\0[^x]+$") return a, b"##,
        r##"nil|nil"##,
    ),
    (
        r##"local a, b = string.find("key:12", "(%a+):(%d+)") return a, b"##,
        r##"1|6"##,
    ),
    (
        r##"local a, b, c = string.find("a.b", ".", 1, true) return a, b, c"##,
        r##"2|2|nil"##,
    ),
    (
        r##"local a = string.find("abc", "b", -1) return a"##,
        r##"nil"##,
    ),
    (
        r##"local a, b = string.find("abc", "", 10) return a, b"##,
        r##"4|3"##,
    ),
    (
        r##"local a, b, c = string.match("  x  ", "^%s*()(.-)%s*$") return a, b, c"##,
        r##"3|x|nil"##,
    ),
    (
        r##"local a = string.match("THE (quick) fox", "%f[%a]%a+%f[%A]", 5) return a"##,
        r##"quick"##,
    ),
    (
        r##"local a = string.match("f(a(b)c)d", "%b()") return a"##,
        r##"(a(b)c)"##,
    ),
    (
        r##"local a, b = string.match([["it's"]], [[(["'])(.-)%1]]) return a, b"##,
        r##""|it's"##,
    ),
    (
        r##"local a = string.match("a\0b", "%z") == "\0" return a"##,
        r##"true"##,
    ),
    (
        r##"local a = string.match("abc", "[]") return a"##,
        r##"user_script:1: malformed pattern (missing ']')"##,
    ),
    (
        r##"local a = string.match("abc", "%") return a"##,
        r##"user_script:1: malformed pattern (ends with '%')"##,
    ),
    (
        r##"local a = string.match("abc", "(b") return a"##,
        r##"user_script:1: unfinished capture"##,
    ),
    (
        r##"local a = string.match("abc", "b)") return a"##,
        r##"user_script:1: invalid pattern capture"##,
    ),
    (
        r##"local a = string.match("abc", "%1") return a"##,
        r##"user_script:1: invalid capture index"##,
    ),
    (
        r##"local a = string.match("abc", "%bx") return a"##,
        r##"user_script:1: unbalanced pattern"##,
    ),
    (
        r##"local a = string.match("abc", "%fa") return a"##,
        r##"user_script:1: missing '[' after '%f' in pattern"##,
    ),
    (
        r##"local a = string.match("abc", ("()"):rep(33)) return a"##,
        r##"user_script:1: too many captures"##,
    ),
    (
        r##"local a = string.match("abc", "[%a-z]+") return a"##,
        r##"abc"##,
    ),
    (
        r##"local a = string.match("x^y", "x^y") return a"##,
        r##"x^y"##,
    ),
    (
        r##"local a = string.match(("a"):rep(300), ("a?"):rep(300) .. "$") == ("a"):rep(300) return a"##,
        r##"true"##,
    ),
    (
        r##"local o = {} for k, v in string.gmatch("a=1, b=2", "(%w+)=(%w+)") do o[#o + 1] = k .. v end return o[1], o[2]"##,
        r##"a1|b2"##,
    ),
    (
        r##"local n = 0 for w in string.gfind("abc", "") do n = n + 1 end return n"##,
        r##"4"##,
    ),
    (
        r##"local n = 0 for w in string.gmatch("aaa", "^a") do n = n + 1 end return n"##,
        r##"0"##,
    ),
    (
        r##"local a, b = string.gsub("hello world", "o", "0", 1) return a, b"##,
        r##"hell0 world|1"##,
    ),
    (
        r##"local a, b = string.gsub("abc", "", "-") return a, b"##,
        r##"-a-b-c-|4"##,
    ),
    (
        r##"local a, b = string.gsub("abc", "%w", "%0%0%%") return a, b"##,
        r##"aa%bb%cc%|3"##,
    ),
    (
        r##"local a, b = string.gsub("a b", "(%w) (%w)", "%2 %1") return a, b"##,
        r##"b a|1"##,
    ),
    (
        r##"local a, b = string.gsub("abc", "b", { b = "X" }) return a, b"##,
        r##"aXc|1"##,
    ),
    (
        r##"local a, b = string.gsub("abc", "%w", function(c) if c == "b" then return 5 end end) return a, b"##,
        r##"a5c|3"##,
    ),
    (
        r##"local a = string.gsub("abc", "b", function() return {} end) return a"##,
        r##"user_script:1: invalid replacement value (a table)"##,
    ),
    (
        r##"local a = string.gsub("abc", "b", "%2") return a"##,
        r##"user_script:1: invalid capture index"##,
    ),
    (
        r##"local a = string.gsub("abc", "b") return a"##,
        r##"user_script:1: bad argument #3 to 'gsub' (string/function/table expected)"##,
    ),
    (
        r##"local a = string.gsub("abc", "b", function() error("inside", 0) end) return a"##,
        r##"inside"##,
    ),
    (
        r##"local ok, e = pcall(string.gsub, "abc", "%f[b]b", setmetatable({}, { __index = function(_, k) error({ k }) end })) return ok, e[1]"##,
        r##"false|b"##,
    ),
    (
        r##"local a, b = string.gsub("abc", "^a", "") return a, b"##,
        r##"bc|1"##,
    ),
    (
        r##"local a = string.format("%5.1f|%-5d|%05d|%+d|% d|%#x|%o", 3.14159, 42, 42, 42, 42, 255, 8) return a"##,
        r##"  3.1|42   |00042|+42| 42|0xff|10"##,
    ),
    (
        r##"local a = string.format("%g %g %g %.3g %#g %e %G", 1e20, 0.1, 100, 1234567, 1, 12345.678, 1e-10) return a"##,
        r##"1e+20 0.1 100 1.23e+06 1.00000 1.234568e+04 1E-10"##,
    ),
    (
        r##"local a = string.format("%q", "a\n\"\\\r\0b") return a"##,
        r##""a\\\n\\"\\\\\\r\\000b""##,
    ),
    (
        r##"local a = string.format("%s %s %s", 1, "x", 1.5) return a"##,
        r##"1 x 1.5"##,
    ),
    (
        r##"local a = string.format("%s", {}) return a"##,
        r##"user_script:1: bad argument #2 to 'format' (string expected, got table)"##,
    ),
    (
        r##"local a = string.format("%d %d %x", 3.7, -3.7, -1) return a"##,
        r##"3 -3 ffffffffffffffff"##,
    ),
    (
        r##"local a = string.format("%c%c", 65, 66) return a"##,
        r##"AB"##,
    ),
    (
        r##"local a = string.format("%5s|%-5s|%.2s", "ab", "ab", "abc") return a"##,
        r##"   ab|ab   |ab"##,
    ),
    (
        r##"local a = string.format("%.0f %.0f %.1f %.2f", 0.5, 1.5, 0.25, 2.675) return a"##,
        r##"0 2 0.2 2.67"##,
    ),
    (
        r##"local a = string.format("%.99f", 0.1) return a"##,
        r##"0.100000000000000005551115123125782702118158340454101562500000000000000000000000000000000000000000000"##,
    ),
    (
        r##"local a = string.format("%y", 1) return a"##,
        r##"user_script:1: invalid option '%y' to 'format'"##,
    ),
    (
        r##"local a = string.format("%", 1) return a"##,
        r##"user_script:1: invalid option '%' to 'format'"##,
    ),
    (
        r##"local a = string.format("%d") return a"##,
        r##"user_script:1: bad argument #2 to 'format' (no value)"##,
    ),
    (
        r##"local a = string.format("%d", "x") return a"##,
        r##"user_script:1: bad argument #2 to 'format' (number expected, got string)"##,
    ),
    (
        r##"local a = string.format("%-+ #0-d", 1) return a"##,
        r##"user_script:1: invalid format (repeated flags)"##,
    ),
    (
        r##"local a = string.format("%100d", 1) return a"##,
        r##"user_script:1: invalid format (width or precision too long)"##,
    ),
    (
        r##"local a = string.format("%.100d", 1) return a"##,
        r##"user_script:1: invalid format (width or precision too long)"##,
    ),
    (
        r##"local a = string.format("%f %5.1f %d", 1 / 0, -1 / 0, 1 / 0) return a"##,
        r##"inf  -inf -9223372036854775808"##,
    ),
    (
        r##"local a = string.format("%s %f %d", 0 / 0, -(0 / 0), 0 / 0) return a"##,
        r##"-nan nan -9223372036854775808"##,
    ),
    (
        r##"local a = string.rep("ab", 3, ",") return a"##,
        r##"ababab"##,
    ),
    (r##"local a = string.rep("ab", -1) return a"##, r##""##),
    (
        r##"local a = string.rep("x", 4294967298) return a"##,
        r##"xx"##,
    ),
    (
        r##"local a = string.rep() return a"##,
        r##"user_script:1: bad argument #1 to 'rep' (string expected, got no value)"##,
    ),
    (
        r##"local a = string.sub("hello", 2, 1e10) return a"##,
        r##"ello"##,
    ),
    (
        r##"local a = string.byte("hello", -1, 2 ^ 40) return a"##,
        r##"111"##,
    ),
    (
        r##"local s = "x" local a = s:rep({}) return a"##,
        r##"user_script:1: bad argument #1 to 'rep' (number expected, got table)"##,
    ),
    (
        r##"local a = string.find("a", nil) return a"##,
        r##"user_script:1: bad argument #2 to 'find' (string expected, got nil)"##,
    ),
];

#[test]
fn scripts_get_what_redis_answers() {
    let lua = testing::interpreter("replacing", super::table);
    let replace = "for name, value in next, replacing do string[name] = value end";
    lua.load(replace).exec().unwrap();
    testing::check(&lua, EXPECTED);
}

/// What a callback calls runs on the interpreter's own stack, which has an end.
#[test]
fn a_callback_of_gsub_that_calls_it_again_ends() {
    let lua = testing::interpreter("replacing", super::table);
    let replace = "for name, value in next, replacing do string[name] = value end";
    lua.load(replace).exec().unwrap();
    for script in [
        "local function f() return (string.gsub('a', 'a', f)) end f()",
        "local t t = setmetatable({}, { __index = function() return (string.gsub('a', 'a', t)) end }) \
         local a = string.gsub('a', 'a', t)",
    ] {
        let raised = testing::run(&lua, script);
        assert!(raised.ends_with("stack overflow"), "{script}: {raised}");
    }
}
