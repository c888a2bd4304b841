use crate::script::modules::testing::{check, interpreter};

/// Recorded from Redis.
#[test]
fn values_are_packed() {
    let lua = interpreter("struct", super::table);
    check(
        &lua,
        &[
            (
                r#"local r = struct.pack("bBhHlL", -1, 255, -2, 65535, -3, 4) return r"#,
                r#"\xff\xff\xfe\xff\xff\xff\xfd\xff\xff\xff\xff\xff\xff\xff\x04\x00\x00\x00\x00\x00\x00\x00"#,
            ),
            (
                r#"local r = struct.pack(">iI", -2, 0xfffffffe) return r"#,
                r#"\xff\xff\xff\xfe\xff\xff\xff\xfe"#,
            ),
            (
                r#"local r = struct.pack("<I3>i5", 0x123456, -2) return r"#,
                r#"V4\x12\xff\xff\xff\xff\xfe"#,
            ),
            (
                r#"local r = struct.pack(">i16", -2) return r"#,
                r#"\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xfe"#,
            ),
            (r#"local r = struct.pack("i0", 5) return r"#, ""),
            (
                r#"local r = struct.pack("T", 5) return r"#,
                r#"\x05\x00\x00\x00\x00\x00\x00\x00"#,
            ),
            (
                r#"local r = struct.pack(">fd", 0.5, -1.5) return r"#,
                r#"?\x00\x00\x00\xbf\xf8\x00\x00\x00\x00\x00\x00"#,
            ),
            (
                r#"local r = struct.pack("!bi", 1, 2) return r"#,
                r#"\x01\x00\x00\x00\x02\x00\x00\x00"#,
            ),
            (
                r#"local r = struct.pack("!2bi!8bd", 1, 2, 3, 4) return r"#,
                r#"\x01\x00\x02\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x10@"#,
            ),
            (
                r#"local r = struct.pack("bxb", 1, 2) return r"#,
                r#"\x01\x00\x02"#,
            ),
            (
                r#"local r = struct.pack("sc2c0", "abc", "de", "fgh") return r"#,
                r#"abc\x00defgh"#,
            ),
            (r#"local r = struct.pack("b\0b", 1, 2) return r"#, r#"\x01"#),
            (
                r#"local r = struct.pack(">L", -1.9) return r"#,
                r#"\xff\xff\xff\xff\xff\xff\xff\xff"#,
            ),
            (
                r#"local r = struct.pack(">L", 2^63) return r"#,
                r#"\x80\x00\x00\x00\x00\x00\x00\x00"#,
            ),
            (
                r#"local r = struct.pack(">L", 2^64) return r"#,
                r#"\x00\x00\x00\x00\x00\x00\x00\x00"#,
            ),
            (
                r#"local r = struct.pack(">L", -2^70) return r"#,
                r#"\x80\x00\x00\x00\x00\x00\x00\x00"#,
            ),
            (r#"local r = struct.pack("b", "12") return r"#, r#"\x0c"#),
            (
                "local r = struct.pack() return r",
                "user_script:1: bad argument #1 to 'pack' (string expected, got no value)",
            ),
            (
                r#"local r = struct.pack("b") return r"#,
                "user_script:1: bad argument #2 to 'pack' (number expected, got nil)",
            ),
            (
                r#"local r = struct.pack("bb") return r"#,
                "user_script:1: bad argument #2 to 'pack' (number expected, got nil)",
            ),
            (
                r#"local r = struct.pack("bs", 1) return r"#,
                "user_script:1: bad argument #3 to 'pack' (string expected, got nil)",
            ),
            (
                r#"local r = struct.pack("b", {}) return r"#,
                "user_script:1: bad argument #2 to 'pack' (number expected, got table)",
            ),
            (
                r#"local r = struct.pack("c5", "abc") return r"#,
                "user_script:1: bad argument #3 to 'pack' (string too short)",
            ),
            (
                r#"local r = struct.pack("i33", 1) return r"#,
                "user_script:1: integral size 33 is larger than limit of 32",
            ),
            (
                r#"local r = struct.pack("i99999999999", 1) return r"#,
                "user_script:1: integral size overflow",
            ),
            (
                r#"local r = struct.pack("!3", 1) return r"#,
                "user_script:1: alignment 3 is not a power of 2",
            ),
            (
                r#"local r = struct.pack("q", 1) return r"#,
                "user_script:1: bad argument #1 to 'pack' (invalid format option 'q')",
            ),
            (
                r#"local r = struct.pack("\200", 1) return r"#,
                r#"user_script:1: bad argument #1 to 'pack' (invalid format option '\xc8')"#,
            ),
        ],
    );
}

/// Recorded from Redis.
#[test]
fn values_are_unpacked() {
    let lua = interpreter("struct", super::table);
    check(
        &lua,
        &[
            (
                r#"return struct.unpack("bBhH", "\255\255\254\255\255\255")"#,
                "-1|255|-2|65535|7",
            ),
            (
                r#"return struct.unpack(">i3I3", "\255\255\254\255\255\254")"#,
                "-2|16777214|7",
            ),
            (
                r#"return struct.unpack(">i9", "\255\1\2\3\4\5\6\7\8")"#,
                "-120|10",
            ),
            (
                r#"return struct.unpack("<L", "\255\255\255\255\255\255\255\255")"#,
                "1.844674407371e+19|9",
            ),
            (
                r#"return struct.unpack(">fd", "\63\0\0\0\191\248\0\0\0\0\0\0")"#,
                "0.5|-1.5|13",
            ),
            (
                r#"return struct.unpack("!bi", "\1\0\0\0\2\0\0\0")"#,
                "1|2|9",
            ),
            (r#"return struct.unpack("sc2", "abc\0de")"#, "abc|de|7"),
            (r#"return struct.unpack("bc0", "\3abcd")"#, "abc|5"),
            (r#"return struct.unpack("sc0", "2\0abcd")"#, "ab|5"),
            (r#"return struct.unpack("b", "\1\2\3", 3)"#, "3|4"),
            (r#"return struct.unpack("", "\1\2\3", 4)"#, "4"),
            (
                r#"local r = struct.unpack("b", "") return r"#,
                "user_script:1: bad argument #2 to 'unpack' (data string too short)",
            ),
            (
                r#"local r = struct.unpack("b", "\1\2", 3) return r"#,
                "user_script:1: bad argument #2 to 'unpack' (data string too short)",
            ),
            (
                r#"local r = struct.unpack("b", "\1\2", 0) return r"#,
                "user_script:1: bad argument #3 to 'unpack' (offset must be 1 or greater)",
            ),
            (
                r#"local r = struct.unpack("b", "\1\2", -1) return r"#,
                "user_script:1: bad argument #2 to 'unpack' (data string too short)",
            ),
            (r#"local r = struct.unpack("", "\1\2", -1) return r"#, "-1"),
            (
                r#"local r = struct.unpack("c0", "abc") return r"#,
                "user_script:1: format 'c0' needs a previous size",
            ),
            (
                r#"local r = struct.unpack("sc0", "x\0abc") return r"#,
                "user_script:1: format 'c0' needs a previous size",
            ),
            (
                r#"local r = struct.unpack("bc0", "\255abc") return r"#,
                "user_script:1: bad argument #2 to 'unpack' (data string too short)",
            ),
            (
                r#"local r = struct.unpack("s", "abc") return r"#,
                "user_script:1: unfinished string in data",
            ),
            (
                r#"local r = struct.unpack("b") return r"#,
                "user_script:1: bad argument #2 to 'unpack' (string expected, got no value)",
            ),
            (
                r#"local r = struct.unpack(("b"):rep(9000), ("b"):rep(9000)) return r"#,
                "user_script:1: stack overflow (too many results)",
            ),
        ],
    );
}

/// Recorded from Redis.
#[test]
fn sizes_are_told() {
    let lua = interpreter("struct", super::table);
    check(
        &lua,
        &[
            (r#"return struct.size("bhilLTfdxc5")"#, "49"),
            (r#"return struct.size("!bd")"#, "16"),
            (r#"return struct.size("!4bd")"#, "12"),
            (r#"return struct.size("qz9")"#, "0"),
            (
                r#"local r = struct.size("s") return r"#,
                "user_script:1: bad argument #1 to 'size' (option 's' has no fixed size)",
            ),
            (
                r#"local r = struct.size("c0") return r"#,
                "user_script:1: bad argument #1 to 'size' (option 'c0' has no fixed size)",
            ),
            (
                r#"local r = struct.size("@") return r"#,
                "user_script:1: bad argument #1 to 'size' (invalid format option '@')",
            ),
            (
                r#"local r = struct.size("!0") return r"#,
                "user_script:1: alignment 0 is not a power of 2",
            ),
            (
                "local r = struct.size() return r",
                "user_script:1: bad argument #1 to 'size' (string expected, got no value)",
            ),
        ],
    );
}
