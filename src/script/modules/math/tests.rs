//! The math library against what Redis answers.

use crate::script::modules::testing;

/// Scripts, and what redis-server 7.0.15 answers.
const EXPECTED: &[(&str, &str)] = &[
    (
        r##"math.randomseed(0) local o = {} for i = 1, 5 do o[i] = string.format("%.17g", math.random()) end return o[1], o[2], o[3], o[4], o[5]"##,
        r##"0.1708280361121651|0.74990198051086721|0.096371655397290201|0.87046522734242737|0.57730350670279162"##,
    ),
    (
        r##"math.randomseed(42) return string.format("%.17g", math.random()), math.random(100), math.random(-5, 5)"##,
        r##"0.74452500033403046|35|-4"##,
    ),
    (
        r##"math.randomseed(-1.5) local a = math.random(1000000) return a"##,
        r##"300026"##,
    ),
    (
        r##"math.randomseed(4294967301) local a = math.random(1000000) return a"##,
        r##"524840"##,
    ),
    (
        r##"math.randomseed(0) local a = math.random(-2147483648, 2147483647) return a"##,
        r##"-2147483648"##,
    ),
    (
        r##"math.randomseed(0) local a = math.random(0, 2147483647) return a"##,
        r##"-366850415"##,
    ),
    (
        r##"local a = math.random(0)"##,
        r##"user_script:1: bad argument #1 to 'random' (interval is empty)"##,
    ),
    (
        r##"local a = math.random(2, 1)"##,
        r##"user_script:1: bad argument #2 to 'random' (interval is empty)"##,
    ),
    (
        r##"local a = math.random(1, 2, 3)"##,
        r##"user_script:1: wrong number of arguments"##,
    ),
    (
        r##"local a = math.random("x")"##,
        r##"user_script:1: bad argument #1 to 'random' (number expected, got string)"##,
    ),
    (
        r##"math.randomseed()"##,
        r##"user_script:1: bad argument #1 to 'randomseed' (number expected, got no value)"##,
    ),
    (
        r##"return math.mod(7, 3), math.mod(-7, 3), math.log(8, 2) == math.log(8)"##,
        r##"1|-1|true"##,
    ),
    (
        r##"return string.format("%.17g %.17g", math.deg(1), math.rad(1))"##,
        r##"57.295779513082323 0.017453292519943295"##,
    ),
    (
        r##"local a = math.deg({})"##,
        r##"user_script:1: bad argument #1 to 'deg' (number expected, got table)"##,
    ),
    (
        r##"local a = math.log()"##,
        r##"user_script:1: bad argument #1 to 'log' (number expected, got no value)"##,
    ),
];

#[test]
fn scripts_get_what_redis_answers() {
    let lua = testing::interpreter("replacing", super::table);
    let replace = "for name, value in next, replacing do math[name] = value end";
    lua.load(replace).exec().unwrap();
    testing::check(&lua, EXPECTED);
}
