use crate::script::modules::testing::{check, interpreter};

/// Recorded from Redis.
#[test]
fn values_are_packed() {
    let lua = interpreter("cmsgpack", super::table);
    check(
        &lua,
        &[
            (
                "return cmsgpack.pack(0, 127, 128, 255, 256, 65535, 65536, 2^32 - 1, 2^32, 2^53)",
                r#"\x00\x7f\xcc\x80\xcc\xff\xcd\x01\x00\xcd\xff\xff\xce\x00\x01\x00\x00\xce\xff\xff\xff\xff\xcf\x00\x00\x00\x01\x00\x00\x00\x00\xcf\x00 \x00\x00\x00\x00\x00\x00"#,
            ),
            (
                "return cmsgpack.pack(-1, -32, -33, -128, -129, -32768, -32769, -2^31, -2^31 - 1, -2^63)",
                r#"\xff\xe0\xd0\xdf\xd0\x80\xd1\xff\x7f\xd1\x80\x00\xd2\xff\xff\x7f\xff\xd2\x80\x00\x00\x00\xd3\xff\xff\xff\xff\x7f\xff\xff\xff\xd3\x80\x00\x00\x00\x00\x00\x00\x00"#,
            ),
            (
                "return cmsgpack.pack(0.5, 0.1, 1e300, 2^63, 2^64, 1/0, -1/0)",
                r#"\xca?\x00\x00\x00\xcb?\xb9\x99\x99\x99\x99\x99\x9a\xcb~7\xe4<\x88\x00u\x9c\xca_\x00\x00\x00\xca_\x80\x00\x00\xca\x7f\x80\x00\x00\xca\xff\x80\x00\x00"#,
            ),
            (
                r#"return cmsgpack.pack("", "abc", ("a"):rep(32))"#,
                r#"\xa0\xa3abc\xd9 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"#,
            ),
            (
                r#"local r = cmsgpack.pack(("a"):rep(256)) return r:sub(1, 5)"#,
                r#"\xda\x01\x00aa"#,
            ),
            (
                r#"local r = cmsgpack.pack(("a"):rep(65536)) return r:sub(1, 7)"#,
                r#"\xdb\x00\x01\x00\x00aa"#,
            ),
            (
                "return cmsgpack.pack(true, false, nil, tostring)",
                r#"\xc3\xc2\xc0\xc0"#,
            ),
            (
                "return cmsgpack.pack({}, {1, 2}, {[2] = 1}, {[0] = 1}, {a = 1}, {[1.5] = 1}, {[2^31] = 1})",
                r#"\x90\x92\x01\x02\x81\x02\x01\x81\x00\x01\x81\xa1a\x01\x81\xca?\xc0\x00\x00\x01\x81\xce\x80\x00\x00\x00\x01"#,
            ),
            (
                "local t = {} for i = 1, 16 do t[i] = 0 end return cmsgpack.pack(t)",
                r#"\xdc\x00\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"#,
            ),
            (
                "local t = {} for i = -15, 0 do t[i] = 0 end return cmsgpack.pack(t):sub(1, 3)",
                r#"\xde\x00\x10"#,
            ),
            (
                "local t = {} for i = 1, 20 do t = {t} end return cmsgpack.pack(t)",
                r#"\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\xc0"#,
            ),
            (
                "local t = {} for i = 1, 20 do t = {a = t} end return cmsgpack.pack(t)",
                r#"\x81\xa1a\x81\xa1a\x81\xa1a\x81\xa1a\x81\xa1a\x81\xa1a\x81\xa1a\x81\xa1a\x81\xa1a\x81\xa1a\x81\xa1a\x81\xa1a\x81\xa1a\x81\xa1a\x81\xa1a\x81\xa1a\xc0"#,
            ),
            (
                "local t = {} t[1] = t return cmsgpack.pack(t)",
                r#"\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\xc0"#,
            ),
            (
                "local r = cmsgpack.pack() return r",
                "user_script:1: bad argument #0 to 'pack' (MessagePack pack needs input.)",
            ),
        ],
    );
}

/// Recorded from Redis.
#[test]
fn values_are_unpacked() {
    let lua = interpreter("cmsgpack", super::table);
    check(
        &lua,
        &[
            (
                r#"return cmsgpack.unpack("\0\127\204\255\205\255\255\206\255\255\255\255\207\0\0\0\1\0\0\0\0")"#,
                "0|127|255|65535|4294967295|4294967296",
            ),
            (
                r#"return cmsgpack.unpack("\255\224\208\128\209\128\0\210\128\0\0\0\211\255\255\255\255\0\0\0\0")"#,
                "-1|-32|-128|-32768|-2147483648|-4294967296",
            ),
            (
                r#"return cmsgpack.unpack("\207\255\255\255\255\255\255\255\255")"#,
                "-1",
            ),
            (
                r#"return cmsgpack.unpack("\202\63\0\0\0\203\191\248\0\0\0\0\0\0")"#,
                "0.5|-1.5",
            ),
            (
                r#"return cmsgpack.unpack("\160\163abc\217\1x\218\0\1y\219\0\0\0\1z")"#,
                "|abc|x|y|z",
            ),
            (
                r#"return cmsgpack.unpack("\192\194\195")"#,
                "nil|false|true",
            ),
            (
                r#"local t = cmsgpack.unpack("\147\1\192\146\2\3") return #t, t[1], t[2], t[3][1], t[3][2]"#,
                "1|1|nil|2|3",
            ),
            (
                r#"local t = cmsgpack.unpack("\130\1\161a\161b\129\194\144") return t[1], next(t.b), #t.b[false]"#,
                "a|false|0",
            ),
            (
                r#"local t = cmsgpack.unpack("\220\0\2\1\2") return #t"#,
                "2",
            ),
            (
                r#"local t = cmsgpack.unpack("\221\0\0\0\2\1\2") return #t"#,
                "2",
            ),
            (
                r#"local t = cmsgpack.unpack("\222\0\1\1\2") return t[1]"#,
                "2",
            ),
            (
                r#"local t = cmsgpack.unpack("\223\0\0\0\1\1\2") return t[1]"#,
                "2",
            ),
            (r#"return cmsgpack.unpack("")"#, ""),
            ("return cmsgpack.unpack(12)", "49|50"),
            (
                r#"local r = cmsgpack.unpack("\129\192\1") return r"#,
                "table index is nil",
            ),
            (
                r#"local r = cmsgpack.unpack("\129\203\127\248\0\0\0\0\0\0\1") return r"#,
                "table index is NaN",
            ),
            (
                r#"local r = cmsgpack.unpack("\193") return r"#,
                "user_script:1: Bad data format in input.",
            ),
            (
                r#"local r = cmsgpack.unpack("\196\1a") return r"#,
                "user_script:1: Bad data format in input.",
            ),
            (
                r#"local r = cmsgpack.unpack("\205\1") return r"#,
                "user_script:1: Missing bytes in input.",
            ),
            (
                r#"local r = cmsgpack.unpack("\163ab") return r"#,
                "user_script:1: Missing bytes in input.",
            ),
            (
                r#"local r = cmsgpack.unpack("\221\255\255\255\255") return r"#,
                "user_script:1: Missing bytes in input.",
            ),
            (
                r#"local r = cmsgpack.unpack("\223\255\255\255\255\1") return r"#,
                "user_script:1: Missing bytes in input.",
            ),
            (
                r#"local r = cmsgpack.unpack("\219\255\255\255\255a") return r"#,
                "user_script:1: Missing bytes in input.",
            ),
            (
                "local r = cmsgpack.unpack() return r",
                "user_script:1: bad argument #1 to 'unpack' (string expected, got no value)",
            ),
            (
                "local r = cmsgpack.unpack({}) return r",
                "user_script:1: bad argument #1 to 'unpack' (string expected, got table)",
            ),
            (
                r#"local r = cmsgpack.unpack(("\145"):rep(100000)) return r"#,
                "user_script:1: stack overflow (in function mp_decode_to_lua_array)",
            ),
            (
                r#"local r = cmsgpack.unpack(("\129\1"):rep(100000)) return r"#,
                "user_script:1: stack overflow (too many return values at once; use unpack_one or unpack_limit instead.)",
            ),
            (
                r#"local r = cmsgpack.unpack(("\1"):rep(100000)) return r"#,
                "user_script:1: stack overflow (too many return values at once; use unpack_one or unpack_limit instead.)",
            ),
            (
                r##"return select("#", cmsgpack.unpack(("\161a"):rep(6900)))"##,
                "6900",
            ),
        ],
    );
}

/// Recorded from Redis.
#[test]
fn values_are_unpacked_in_parts() {
    let lua = interpreter("cmsgpack", super::table);
    check(
        &lua,
        &[
            (r#"return cmsgpack.unpack_one("\1\2\3")"#, "1|1"),
            (r#"return cmsgpack.unpack_one("\1\2\3", 2)"#, "-1|3"),
            (r#"return cmsgpack.unpack_one("\1\2\3", 3)"#, "-1"),
            (r#"return cmsgpack.unpack_one("")"#, "-1"),
            (r#"return cmsgpack.unpack_limit("\1\2\3", 2)"#, "2|1|2"),
            (r#"return cmsgpack.unpack_limit("\1\2\3", 2, 1)"#, "-1|2|3"),
            (r#"return cmsgpack.unpack_limit("\1\2\3", 0)"#, "1|2|3"),
            (r#"return cmsgpack.unpack_limit("\1\2\3", 0, 1)"#, "1"),
            (
                r#"local r = cmsgpack.unpack_one("\1", 2) return r"#,
                "user_script:1: Start offset 2 greater than input length 1.",
            ),
            (
                r#"local r = cmsgpack.unpack_one("\1", -1) return r"#,
                "user_script:1: Invalid request to unpack with offset of -1 and limit of 1.",
            ),
            (
                r#"local r = cmsgpack.unpack_limit("\1", -1) return r"#,
                "user_script:1: Invalid request to unpack with offset of 0 and limit of 1.",
            ),
            (
                r#"local r = cmsgpack.unpack_limit("\1") return r"#,
                "user_script:1: bad argument #2 to 'unpack_limit' (number expected, got no value)",
            ),
            (
                "local r = cmsgpack.unpack_one({}, {}) return r",
                "user_script:1: bad argument #2 to 'unpack_one' (number expected, got table)",
            ),
            (
                "return cmsgpack._NAME, cmsgpack._VERSION, cmsgpack._COPYRIGHT, cmsgpack._DESCRIPTION",
                "cmsgpack|lua-cmsgpack 0.4.0|Copyright (C) 2012, Salvatore Sanfilippo|MessagePack C implementation for Lua",
            ),
        ],
    );
}
