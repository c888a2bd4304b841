use crate::script::modules::testing::{check, interpreter};

/// Recorded from Redis.
#[test]
fn results_are_those_of_redis() {
    let lua = interpreter("bit", super::table);
    check(
        &lua,
        &[
            ("local r = bit.tobit(0xffffffff) return r", "-1"),
            ("local r = bit.tobit(2^40 + 5.5) return r", "6"),
            ("local r = bit.tobit(1e300) return r", "-2013235812"),
            ("local r = bit.tobit(-1.5) return r", "-2"),
            (r#"local r = bit.tobit("0x10") return r"#, "16"),
            (
                "local r = bit.tobit() return r",
                "user_script:1: bad argument #1 to 'tobit' (number expected, got no value)",
            ),
            (
                r#"local r = bit.tobit("x") return r"#,
                "user_script:1: bad argument #1 to 'tobit' (number expected, got string)",
            ),
            ("local r = bit.bnot(5) return r", "-6"),
            ("local r = bit.bswap(0x12345678) return r", "2018915346"),
            ("local r = bit.band(0xff, 0x0f, 0x3c) return r", "12"),
            ("local r = bit.bor(1, 2, 4) return r", "7"),
            ("local r = bit.bxor(0xff, 0x0f) return r", "240"),
            (
                "local r = bit.band(1, {}) return r",
                "user_script:1: bad argument #2 to 'band' (number expected, got table)",
            ),
            ("local r = bit.lshift(1, 31) return r", "-2147483648"),
            ("local r = bit.lshift(1, 33) return r", "2"),
            ("local r = bit.rshift(-1, 28) return r", "15"),
            ("local r = bit.arshift(-256, 4) return r", "-16"),
            ("local r = bit.rol(0x12345678, 12) return r", "1164411171"),
            ("local r = bit.ror(0x12345678, 12) return r", "1736516421"),
            (
                "local r = bit.lshift(1) return r",
                "user_script:1: bad argument #2 to 'lshift' (number expected, got no value)",
            ),
            ("local r = bit.tohex(255) return r", "000000ff"),
            ("local r = bit.tohex(255, 2) return r", "ff"),
            ("local r = bit.tohex(0xabcdef, -6) return r", "ABCDEF"),
            ("local r = bit.tohex(1, 200) return r", "00000001"),
            ("local r = bit.tohex(1, 0) return r", ""),
            ("local r = bit.tohex(1, -2^31) return r", "00000001"),
            (
                "local r = bit.tohex(1, nil) return r",
                "user_script:1: bad argument #2 to 'tohex' (number expected, got nil)",
            ),
        ],
    );
}
