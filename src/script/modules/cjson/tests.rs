use crate::script::modules::testing::{check, interpreter};

/// Recorded from Redis.
#[test]
fn values_are_encoded() {
    let lua = interpreter("cjson", super::table);
    check(
        &lua,
        &[
            ("return cjson.encode(nil)", "null"),
            ("return cjson.encode(true)", "true"),
            (
                r#"return cjson.encode({1, "a", false, cjson.null})"#,
                r#"[1,"a",false,null]"#,
            ),
            ("return cjson.encode({})", "{}"),
            ("return cjson.encode({a = {}})", r#"{"a":{}}"#),
            (
                "return cjson.encode({a = {b = {1, {c = 2}}}})",
                r#"{"a":{"b":[1,{"c":2}]}}"#,
            ),
            (
                r#"return cjson.encode({[1] = "a", [3] = "c"})"#,
                r#"["a",null,"c"]"#,
            ),
            ("return cjson.encode({[3] = 1})", "[null,null,1]"),
            ("return cjson.encode({[1.5] = 1})", r#"{"1.5":1}"#),
            ("return cjson.encode({[0] = 1})", r#"{"0":1}"#),
            ("return cjson.encode({[-1] = 1})", r#"{"-1":1}"#),
            (
                "return cjson.encode({[2^40] = 1})",
                r#"{"1099511627776":1}"#,
            ),
            ("return cjson.encode({[1] = 1, [2^40] = 1}):len()", "25"),
            ("return cjson.encode({1, 2, n = 3}):len()", "19"),
            (
                r#"return cjson.encode("a\"b/c\\d\0\1\8\9\10\12\13\31\127\128\255")"#,
                r#""a\\"b\\/c\\\\d\\u0000\\u0001\\b\\t\\n\\f\\r\\u001f\\u007f\x80\xff""#,
            ),
            (
                "return cjson.encode(0.1), cjson.encode(1/3), cjson.encode(1e14), cjson.encode(99999999999999)",
                "0.1|0.33333333333333|1e+14|99999999999999",
            ),
            (
                "return cjson.encode(-0.5), cjson.encode(1e-5), cjson.encode(0.0001), cjson.encode(5e-324)",
                "-0.5|1e-05|0.0001|4.9406564584125e-324",
            ),
            (
                "return cjson.encode(2^53), cjson.encode(123456.789e3), cjson.encode(1e100)",
                "9.007199254741e+15|123456789|1e+100",
            ),
            (
                "local r = cjson.encode(1/0) return r",
                "user_script:1: Cannot serialise number: must not be NaN or Inf",
            ),
            (
                "local r = cjson.encode({[1/0] = 1}) return r",
                "user_script:1: Cannot serialise number: must not be NaN or Inf",
            ),
            (
                "local r = cjson.encode(tostring) return r",
                "user_script:1: Cannot serialise function: type not supported",
            ),
            (
                "local r = cjson.encode({a = {tostring}}) return r",
                "user_script:1: Cannot serialise function: type not supported",
            ),
            (
                "local r = cjson.encode(coroutine.create(function() end)) return r",
                "user_script:1: Cannot serialise thread: type not supported",
            ),
            (
                "local r = cjson.encode({[true] = 1}) return r",
                "user_script:1: Cannot serialise boolean: table key must be a number or string",
            ),
            (
                "local r = cjson.encode({[{}] = 1}) return r",
                "user_script:1: Cannot serialise table: table key must be a number or string",
            ),
            (
                "local r = cjson.encode({[11] = 1}) return r",
                "user_script:1: Cannot serialise table: excessively sparse array",
            ),
            (
                "return cjson.encode({[10] = 1})",
                "[null,null,null,null,null,null,null,null,null,1]",
            ),
            (
                "local r = cjson.encode() return r",
                "user_script:1: bad argument #1 to 'encode' (expected 1 argument)",
            ),
            (
                "local r = cjson.encode(1, 2) return r",
                "user_script:1: bad argument #1 to 'encode' (expected 1 argument)",
            ),
        ],
    );
}

/// Recorded from Redis.
#[test]
fn texts_are_decoded() {
    let lua = interpreter("cjson", super::table);
    check(
        &lua,
        &[
            (
                r#"local t = cjson.decode('[1, "a", true, false, null]') return t[1], t[2], t[3], t[4], t[5] == cjson.null"#,
                "1|a|true|false|true",
            ),
            (
                r#"local t = cjson.decode('{"a": {"b": [1, {"c": 2}]}, "a\\u0062": 3}') return t.a.b[2].c, t.ab"#,
                "2|3",
            ),
            (
                r#"local t = cjson.decode('{"1": 2, "\255": "\254"}') return t[1], t["1"], t["\255"]"#,
                r#"nil|2|\xfe"#,
            ),
            (
                r#"local t = cjson.decode('{"a": 1, "a": 2}') return t.a"#,
                "2",
            ),
            (
                r#"return #cjson.decode("[]"), next(cjson.decode("{}"))"#,
                "0|nil",
            ),
            (
                r#"return cjson.decode(' \t\r\n"x" '), cjson.decode("5"), cjson.decode(5), cjson.decode("12\0x")"#,
                "x|5|5|12",
            ),
            (
                r#"return cjson.decode('"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20ac\\ud83d\\ude00"')"#,
                r#""\\/\x08\x0c\n\r\t\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"#,
            ),
            (
                r#"return cjson.decode('"\\u0000\\u001f\\u007F"')"#,
                r#"\x00\x1f\x7f"#,
            ),
            (
                r#"return cjson.decode("1.5e3"), cjson.decode("-0"), cjson.decode("1."), cjson.decode("-.5"), cjson.decode("1e999")"#,
                "1500|-0|1|-0.5|inf",
            ),
            (
                r#"return cjson.decode("0x1F"), cjson.decode("-0x.8p1"), cjson.decode("007"), cjson.decode("+5"), cjson.decode("-inf")"#,
                "31|-1|7|5|-inf",
            ),
            (
                r#"return cjson.decode("Infinity"), cjson.decode("inf")"#,
                "inf|inf",
            ),
            (
                r#"cjson.decode("")"#,
                "user_script:1: Expected value but found T_END at character 1",
            ),
            (
                r#"cjson.decode("x")"#,
                "user_script:1: Expected value but found invalid token at character 1",
            ),
            (
                r#"cjson.decode(" ")"#,
                "user_script:1: Expected value but found T_END at character 2",
            ),
            (
                r#"cjson.decode("[")"#,
                "user_script:1: Expected value but found T_END at character 2",
            ),
            (
                r#"cjson.decode("[1")"#,
                "user_script:1: Expected comma or array end but found T_END at character 3",
            ),
            (
                r#"cjson.decode("[1,]")"#,
                "user_script:1: Expected value but found T_ARR_END at character 4",
            ),
            (
                r#"cjson.decode("[1 2]")"#,
                "user_script:1: Expected comma or array end but found T_NUMBER at character 4",
            ),
            (
                r#"cjson.decode("{")"#,
                "user_script:1: Expected object key string but found T_END at character 2",
            ),
            (
                r#"cjson.decode("{1:2}")"#,
                "user_script:1: Expected object key string but found T_NUMBER at character 2",
            ),
            (
                r#"cjson.decode('{"a"}')"#,
                "user_script:1: Expected colon but found T_OBJ_END at character 5",
            ),
            (
                r#"cjson.decode('{"a":}')"#,
                "user_script:1: Expected value but found T_OBJ_END at character 6",
            ),
            (
                r#"cjson.decode('{"a":1')"#,
                "user_script:1: Expected comma or object end but found T_END at character 7",
            ),
            (
                r#"cjson.decode('{"a":1,}')"#,
                "user_script:1: Expected object key string but found T_OBJ_END at character 8",
            ),
            (
                r#"cjson.decode("]")"#,
                "user_script:1: Expected value but found T_ARR_END at character 1",
            ),
            (
                r#"cjson.decode("}")"#,
                "user_script:1: Expected value but found T_OBJ_END at character 1",
            ),
            (
                r#"cjson.decode(",")"#,
                "user_script:1: Expected value but found T_COMMA at character 1",
            ),
            (
                r#"cjson.decode(":")"#,
                "user_script:1: Expected value but found T_COLON at character 1",
            ),
            (
                r#"cjson.decode("1 2")"#,
                "user_script:1: Expected the end but found T_NUMBER at character 3",
            ),
            (
                r#"cjson.decode("1 true")"#,
                "user_script:1: Expected the end but found T_BOOLEAN at character 3",
            ),
            (
                r#"cjson.decode("1 null")"#,
                "user_script:1: Expected the end but found T_NULL at character 3",
            ),
            (
                r#"cjson.decode('1 "a"')"#,
                "user_script:1: Expected the end but found T_STRING at character 3",
            ),
            (
                r#"cjson.decode('"abc')"#,
                "user_script:1: Expected value but found unexpected end of string at character 5",
            ),
            (
                r#"cjson.decode('"a\0c"')"#,
                "user_script:1: Expected value but found unexpected end of string at character 3",
            ),
            (
                r#"cjson.decode('"a\\x"')"#,
                "user_script:1: Expected value but found invalid escape code at character 3",
            ),
            (
                r#"cjson.decode('"a\\')"#,
                "user_script:1: Expected value but found invalid escape code at character 3",
            ),
            (
                r#"cjson.decode('"\\u12"')"#,
                "user_script:1: Expected value but found invalid unicode escape code at character 2",
            ),
            (
                r#"cjson.decode('"\\udc00"')"#,
                "user_script:1: Expected value but found invalid unicode escape code at character 2",
            ),
            (
                r#"cjson.decode('"\\ud800x"')"#,
                "user_script:1: Expected value but found invalid unicode escape code at character 2",
            ),
            (
                r#"cjson.decode('"\\ud800\\u0041"')"#,
                "user_script:1: Expected value but found invalid unicode escape code at character 2",
            ),
            (
                r#"cjson.decode("-")"#,
                "user_script:1: Expected value but found invalid number at character 1",
            ),
            (
                r#"cjson.decode("+")"#,
                "user_script:1: Expected value but found invalid number at character 1",
            ),
            (
                r#"cjson.decode("tru")"#,
                "user_script:1: Expected value but found invalid token at character 1",
            ),
            (
                r#"cjson.decode("nul")"#,
                "user_script:1: Expected value but found invalid token at character 1",
            ),
            (
                r#"cjson.decode("\0\1")"#,
                "user_script:1: JSON parser does not support UTF-16 or UTF-32",
            ),
            (
                r#"cjson.decode("1\0")"#,
                "user_script:1: JSON parser does not support UTF-16 or UTF-32",
            ),
            (
                "cjson.decode()",
                "user_script:1: bad argument #1 to 'decode' (expected 1 argument)",
            ),
            (
                r#"cjson.decode("1", 2)"#,
                "user_script:1: bad argument #1 to 'decode' (expected 1 argument)",
            ),
            (
                "cjson.decode({})",
                "user_script:1: bad argument #1 to 'decode' (string expected, got table)",
            ),
            (
                "cjson.decode(nil)",
                "user_script:1: bad argument #1 to 'decode' (string expected, got nil)",
            ),
        ],
    );
}

/// Recorded from Redis.
#[test]
fn settings_are_set_and_told() {
    let lua = interpreter("cjson", super::table);
    check(
        &lua,
        &[
            (
                "local j = cjson.new() return j.encode_sparse_array()",
                "false|2|10",
            ),
            (
                "local j = cjson.new() return j.encode_sparse_array(true, 3, 4)",
                "true|3|4",
            ),
            (
                r#"local j = cjson.new() return j.encode_sparse_array("on", nil, "5")"#,
                "true|2|5",
            ),
            (
                "local j = cjson.new() local r = j.encode_sparse_array(true, -1) return r",
                "user_script:1: bad argument #1 to 'encode_sparse_array' (expected integer between 0 and 2147483647)",
            ),
            (
                "local j = cjson.new() local r = j.encode_sparse_array(true, {}) return r",
                "user_script:1: bad argument #2 to 'encode_sparse_array' (number expected, got table)",
            ),
            (
                "local j = cjson.new() local r = j.encode_sparse_array(1) return r",
                "user_script:1: bad argument #1 to 'encode_sparse_array' (invalid option '1')",
            ),
            (
                "local j = cjson.new() local r = j.encode_sparse_array(true, 1, 2, 3) return r",
                "user_script:1: bad argument #4 to 'encode_sparse_array' (found too many arguments)",
            ),
            (
                "local j = cjson.new() j.encode_sparse_array(true) return j.encode({[11] = 1})",
                r#"{"11":1}"#,
            ),
            (
                "local j = cjson.new() j.encode_sparse_array(false, 0) return j.encode({[11] = 1})",
                "[null,null,null,null,null,null,null,null,null,null,1]",
            ),
            (
                "local j = cjson.new() j.encode_sparse_array(false, 1, 0) return j.encode({1, 2})",
                "[1,2]",
            ),
            (
                "local j = cjson.new() j.encode_sparse_array(false, 1, 0) local r = j.encode({[2] = 1}) return r",
                "user_script:1: Cannot serialise table: excessively sparse array",
            ),
            (
                "local j = cjson.new() return j.encode_max_depth(), j.decode_max_depth(5), j.decode_max_depth()",
                "1000|5|5",
            ),
            (
                "local j = cjson.new() local r = j.encode_max_depth(0) return r",
                "user_script:1: bad argument #1 to 'encode_max_depth' (expected integer between 1 and 2147483647)",
            ),
            (
                "local j = cjson.new() local r = j.encode_max_depth(2^31) return r",
                "user_script:1: bad argument #1 to 'encode_max_depth' (expected integer between 1 and 2147483647)",
            ),
            (
                "local j = cjson.new() return j.encode_max_depth(2^32 + 7.5)",
                "7",
            ),
            (
                "local j = cjson.new() local r = j.encode_max_depth(1, 2) return r",
                "user_script:1: bad argument #2 to 'encode_max_depth' (found too many arguments)",
            ),
            (
                "local j = cjson.new() j.encode_max_depth(2) return j.encode({{}})",
                "[{}]",
            ),
            (
                "local j = cjson.new() j.encode_max_depth(2) local r = j.encode({a = {{}}}) return r",
                "user_script:1: Cannot serialise, excessive nesting (3)",
            ),
            (
                r#"local j = cjson.new() j.decode_max_depth(2) return #j.decode("[[]]")"#,
                "1",
            ),
            (
                r#"local j = cjson.new() j.decode_max_depth(2) local r = j.decode('[{"a":[]}]') return r"#,
                "user_script:1: Found too many nested data structures (3) at character 7",
            ),
            (
                "local j = cjson.new() return j.encode_number_precision(3), j.encode(1/3), j.encode(1234), j.encode(0.5)",
                "3|0.333|1.23e+03|0.5",
            ),
            (
                "local j = cjson.new() local r = j.encode_number_precision(15) return r",
                "user_script:1: bad argument #1 to 'encode_number_precision' (expected integer between 1 and 14)",
            ),
            (
                r#"local j = cjson.new() return j.encode_keep_buffer(), j.encode_keep_buffer(false), j.encode_keep_buffer("on")"#,
                "true|false|true",
            ),
            (
                r#"local j = cjson.new() local r = j.encode_keep_buffer("x") return r"#,
                "user_script:1: bad argument #1 to 'encode_keep_buffer' (invalid option 'x')",
            ),
            (
                "local j = cjson.new() local r = j.encode_keep_buffer({}) return r",
                "user_script:1: bad argument #1 to 'encode_keep_buffer' (string expected, got table)",
            ),
            (
                r#"local j = cjson.new() return j.encode_invalid_numbers(), j.encode_invalid_numbers("null"), j.encode_invalid_numbers()"#,
                "false|null|null",
            ),
            (
                "local j = cjson.new() return j.encode_invalid_numbers(true), j.encode({1/0, -1/0, 0/0, [4] = 1})",
                "true|[inf,-inf,nan,1]",
            ),
            (
                r#"local j = cjson.new() return j.encode_invalid_numbers("null"), j.encode({1/0, 0/0, {[1/0] = 1}})"#,
                r#"null|[null,null,{"null":1}]"#,
            ),
            (
                r#"local j = cjson.new() return j.decode_invalid_numbers(), j.decode_invalid_numbers("off")"#,
                "true|false",
            ),
            (
                r#"local j = cjson.new() j.decode_invalid_numbers(false) local r = j.decode("[0x1]") return r"#,
                "user_script:1: Expected value but found invalid number at character 2",
            ),
            (
                r#"local j = cjson.new() j.decode_invalid_numbers(false) local r = j.decode("01") return r"#,
                "user_script:1: Expected value but found invalid number at character 1",
            ),
            (
                r#"local j = cjson.new() j.decode_invalid_numbers(false) local r = j.decode("nan") return r"#,
                "user_script:1: Expected value but found invalid token at character 1",
            ),
            (
                r#"local j = cjson.new() j.decode_invalid_numbers(false) local r = j.decode("+1") return r"#,
                "user_script:1: Expected value but found invalid token at character 1",
            ),
            (
                r#"local j = cjson.new() j.decode_invalid_numbers(false) local r = j.decode("-inf") return r"#,
                "user_script:1: Expected value but found invalid number at character 1",
            ),
            (
                r#"local j = cjson.new() j.decode_invalid_numbers(false) return j.decode("0"), j.decode("-0.5"), j.decode("1e5")"#,
                "0|-0.5|100000",
            ),
            (
                "local j = cjson.new() j.encode_number_precision(2) return j.new().encode_number_precision(), cjson.encode_number_precision()",
                "14|14",
            ),
            (
                "return cjson._NAME, cjson._VERSION, type(cjson.null)",
                "cjson|2.1.0|userdata",
            ),
        ],
    );
}

/// Recorded from Redis, but for the last four, where it goes to 8000 values on
/// its stack instead of 7000.
#[test]
fn nesting_has_a_bound() {
    let lua = interpreter("cjson", super::table);
    check(
        &lua,
        &[
            (
                "local t = {} for i = 2, 1000 do t = {t} end return #cjson.encode(t)",
                "2000",
            ),
            (
                "local t = {} for i = 2, 1001 do t = {t} end local r = cjson.encode(t) return r",
                "user_script:1: Cannot serialise, excessive nesting (1001)",
            ),
            (
                "local t = {} t.t = t local r = cjson.encode(t) return r",
                "user_script:1: Cannot serialise, excessive nesting (1001)",
            ),
            (
                r#"local t = cjson.decode(("["):rep(1000) .. ("]"):rep(1000)) return #t"#,
                "1",
            ),
            (
                r#"cjson.decode(("["):rep(1001))"#,
                "user_script:1: Found too many nested data structures (1001) at character 1001",
            ),
            (
                r#"cjson.decode(('{"a":'):rep(1001))"#,
                "user_script:1: Found too many nested data structures (1001) at character 5001",
            ),
            (
                "local j = cjson.new() j.encode_max_depth(2^31 - 1) local t = {} \
                 for i = 1, 20000 do t = {t} end local r = j.encode(t) return r",
                "user_script:1: Cannot serialise, excessive nesting (7995)",
            ),
            (
                "local j = cjson.new() j.encode_max_depth(2^31 - 1) local t = {} \
                 for i = 1, 20000 do t = {a = t} end local r = j.encode(t) return r",
                "user_script:1: Cannot serialise, excessive nesting (3998)",
            ),
            (
                "local j = cjson.new() j.decode_max_depth(2^31 - 1) \
                 local r = j.decode(('['):rep(100000)) return r",
                "user_script:1: Found too many nested data structures (7996) at character 7996",
            ),
            (
                "local j = cjson.new() j.decode_max_depth(2^31 - 1) \
                 local r = j.decode(('{\"a\":'):rep(100000)) return r",
                "user_script:1: Found too many nested data structures (3998) at character 19986",
            ),
        ],
    );
}

#[test]
fn what_a_script_sets_can_be_taken_back() {
    let lua = interpreter("cjson", super::table);
    let told = "return cjson.encode_number_precision(), cjson.encode_max_depth()";
    check(
        &lua,
        &[
            (
                "return cjson.encode_number_precision(3), cjson.encode_max_depth(9)",
                "3|9",
            ),
            (told, "3|9"),
        ],
    );
    super::reset(&lua);
    check(&lua, &[(told, "14|1000")]);
}

/// Tables that share a part take time and room beyond measure when they are
/// written out.
#[test]
fn what_is_encoded_has_a_bound() {
    let lua = interpreter("cjson", super::table);
    lua.set_memory_limit(lua.used_memory() + 1_000_000).unwrap();
    check(
        &lua,
        &[
            (
                "local t = {} for i = 1, 100 do t = {t, a = t} end return cjson.encode(t)",
                "not enough memory",
            ),
            (
                "local j = cjson.new() j.encode_sparse_array(false, 0) \
                 return j.encode({[2^31 - 1] = 1})",
                "not enough memory",
            ),
        ],
    );
}
