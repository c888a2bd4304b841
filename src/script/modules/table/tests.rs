//! The table library against what Redis answers.

use crate::script::modules::testing;

/// Scripts, and what redis-server 7.0.15 answers.
const EXPECTED: &[(&str, &str)] = &[
    (
        r##"local t = { 3, 1, 2 } table.sort(t) return t[1], t[2], t[3]"##,
        r##"1|2|3"##,
    ),
    (
        r##"local t = {} for i = 1, 20 do t[i] = { i % 3, i } end table.sort(t, function(a, b) return a[1] < b[1] end) local o = {} for i = 1, 20 do o[i] = t[i][2] end return table.concat(o, " ")"##,
        r##"15 9 6 12 18 3 13 1 16 19 10 4 7 17 2 11 8 14 5 20"##,
    ),
    (
        r##"local t = {} for i = 1, 30 do t[i] = { i * 7 % 5, i } end table.sort(t, function(a, b) return a[1] > b[1] end) local o = {} for i = 1, 30 do o[i] = t[i][2] end return table.concat(o, " ")"##,
        r##"27 7 17 22 12 2 29 14 24 19 4 9 16 26 11 21 6 1 23 13 8 18 3 28 25 15 10 20 5 30"##,
    ),
    (
        r##"table.sort({ 1, 2, 3, 4 }, function() return true end)"##,
        r##"user_script:1: invalid order function for sorting"##,
    ),
    (
        r##"table.sort({ 1, "x" })"##,
        r##"attempt to compare string with number"##,
    ),
    (
        r##"table.sort({ {}, {} })"##,
        r##"attempt to compare two table values"##,
    ),
    (
        r##"table.sort({ 3, 2, 1 }, 5)"##,
        r##"user_script:1: bad argument #2 to 'sort' (function expected, got number)"##,
    ),
    (
        r##"table.sort(5)"##,
        r##"user_script:1: bad argument #1 to 'sort' (table expected, got number)"##,
    ),
    (
        r##"table.sort({ 1, 2, 3 }, function(a, b) return a.x < b.x end)"##,
        r##"user_script:1: attempt to index local 'a' (a number value)"##,
    ),
    (
        r##"table.sort({ 1, 2, 3 }, function(a, b) error("mine", 0) end)"##,
        r##"mine"##,
    ),
    (
        r##"local m = { __lt = function(a, b) return a[1] < b[1] end } local t = {} for i = 1, 4 do t[i] = setmetatable({ 5 - i }, m) end table.sort(t) return t[1][1], t[4][1]"##,
        r##"1|4"##,
    ),
    (
        r##"local t = { 1, 2 } table.insert(t, 1, 0) table.insert(t, 9) return table.concat(t, " ")"##,
        r##"0 1 2 9"##,
    ),
    (
        r##"local t = { 1, 2 } table.insert(t, 0, 7) return t[0], t[1], t[2], t[3]"##,
        r##"7|nil|1|2"##,
    ),
    (
        r##"local t = { 1, 2 } table.insert(t, -2, 7) return t[-2], t[-1], t[0], t[1], t[2], t[3]"##,
        r##"7|nil|nil|nil|1|2"##,
    ),
    (
        r##"local t = { 1, 2 } table.insert(t, 4294967297, 7) return t[1], t[2], t[3]"##,
        r##"7|1|2"##,
    ),
    (
        r##"table.insert({}, 1, 2, 3)"##,
        r##"user_script:1: wrong number of arguments to 'insert'"##,
    ),
    (
        r##"table.insert({})"##,
        r##"user_script:1: wrong number of arguments to 'insert'"##,
    ),
    (
        r##"table.insert(nil, 1)"##,
        r##"user_script:1: bad argument #1 to 'insert' (table expected, got nil)"##,
    ),
    (
        r##"local t = { 1, 2, 3 } local a = table.remove(t, 1.5) return a, #t"##,
        r##"1|2"##,
    ),
    (
        r##"local t = { 1, 2, 3 } local a = table.remove(t) return a, #t"##,
        r##"3|2"##,
    ),
    (
        r##"table.setn({}, 1)"##,
        r##"user_script:1: 'setn' is obsolete"##,
    ),
    (
        r##"table.setn(1)"##,
        r##"user_script:1: bad argument #1 to 'setn' (table expected, got number)"##,
    ),
];

#[test]
fn scripts_get_what_redis_answers() {
    let lua = testing::interpreter("replacing", super::table);
    let replace = "for name, value in next, replacing do table[name] = value end";
    lua.load(replace).exec().unwrap();
    testing::check(&lua, EXPECTED);
}
