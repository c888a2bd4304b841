//! The functions in no library against what Redis answers.

use crate::script::modules::testing;

/// Scripts, and what redis-server 7.0.15 answers.
const EXPECTED: &[(&str, &str)] = &[
    (
        r##"return tonumber("0x10"), tonumber("0b1"), tonumber(" 7 "), tonumber("1e3"), tonumber("08"), tonumber("")"##,
        r##"16|nil|7|1000|8|nil"##,
    ),
    (
        r##"return tonumber("1\0x"), tonumber("0x1p4"), tonumber(5), tonumber({})"##,
        r##"1|16|5|nil"##,
    ),
    (
        r##"return tonumber("ff", 16), tonumber("0xff", 16), tonumber("zz", 36), tonumber("8", 8), tonumber("-1", 16), tonumber("1.5", 10)"##,
        r##"255|255|1295|nil|1.844674407371e+19|1.5"##,
    ),
    (
        r##"return tonumber("18446744073709551616", 10), tonumber("fffffffffffffffff", 16), tonumber("", 16), tonumber(" 10 ", 2), tonumber("10 x", 2)"##,
        r##"1.844674407371e+19|1.844674407371e+19|nil|2|nil"##,
    ),
    (
        r##"return tonumber("1e3", "10"), tonumber("1e3", 10.9), tonumber("0x10", "1e1"), tonumber("ff", "16"), tonumber("1e3", 9.9)"##,
        r##"1000|1000|16|255|nil"##,
    ),
    (
        r##"local a = tonumber("1", 0 / 0)"##,
        r##"user_script:1: bad argument #2 to 'tonumber' (base out of range)"##,
    ),
    (
        r##"local a = tonumber("1", 37)"##,
        r##"user_script:1: bad argument #2 to 'tonumber' (base out of range)"##,
    ),
    (
        r##"local a = tonumber()"##,
        r##"user_script:1: bad argument #1 to 'tonumber' (value expected)"##,
    ),
    (
        r##"local a = tonumber({}, 16)"##,
        r##"user_script:1: bad argument #1 to 'tonumber' (string expected, got table)"##,
    ),
    (
        r##"return tostring(0 / 0), tostring(-(0 / 0)), tostring(tonumber("nan")), tostring(1 / 0), tostring(1e15), tostring(nil)"##,
        r##"-nan|nan|nan|inf|1e+15|nil"##,
    ),
    (
        r##"local a = tostring()"##,
        r##"user_script:1: bad argument #1 to 'tostring' (value expected)"##,
    ),
    (r##"local a, b = assert(1, 2) return a, b"##, r##"1|2"##),
    (
        r##"assert(false)"##,
        r##"user_script:1: assertion failed!"##,
    ),
    (r##"assert(nil, "mine")"##, r##"user_script:1: mine"##),
    (r##"assert(false, 5)"##, r##"user_script:1: 5"##),
    (
        r##"assert(false, {})"##,
        r##"user_script:1: bad argument #2 to 'assert' (string expected, got table)"##,
    ),
    (
        r##"assert()"##,
        r##"user_script:1: bad argument #1 to 'assert' (value expected)"##,
    ),
    (
        r##"local a, b = xpcall(function(...) return select("#", ...) end, tostring, 1, 2) return a, b"##,
        r##"true|0"##,
    ),
    (
        r##"local a, b = xpcall(function() error("x", 0) end, nil) return a, b"##,
        r##"false|error in error handling"##,
    ),
    (
        r##"local a, b = xpcall(function() error("x", 0) end, function(e) return "h" .. e end) return a, b"##,
        r##"false|hx"##,
    ),
    (
        r##"local n = 0 local a, b = xpcall(error, function() n = n + 1 error("x", 0) end) return n, a, b"##,
        r##"221|false|error in error handling"##,
    ),
    (
        r##"local n = 0 local a, b = xpcall(error, function(e) n = n + 1 if n < 3 then error(n, 0) end return e, n end) return n, a, b"##,
        r##"3|false|2"##,
    ),
    (
        r##"local function h() pcall(error) local x = nil + 1 end local a, b = xpcall(error, h) return a, b"##,
        r##"false|error in error handling"##,
    ),
    (
        r##"return select("#", xpcall(error, function() end)), select("#", xpcall(error, function() return 1, 2 end))"##,
        r##"2|2"##,
    ),
    (
        r##"xpcall(tostring)"##,
        r##"user_script:1: bad argument #2 to 'xpcall' (value expected)"##,
    ),
];

#[test]
fn scripts_get_what_redis_answers() {
    let lua = testing::interpreter("replacing", super::table);
    let replace = "for name, value in next, replacing do _G[name] = value end";
    lua.load(replace).exec().unwrap();
    testing::check(&lua, EXPECTED);
}
