//! Numbers and sizes as clients and configuration files write them.

/// As `atoi` of C reads it: what it can make sense of, else 0.
pub fn leading(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let sign = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let digits = text[sign..].iter().take_while(|byte| byte.is_ascii_digit());
    let end = sign + digits.count();
    let digits = str::from_utf8(&text[..end]).unwrap_or_default();
    digits.parse().unwrap_or(0)
}

/// A 64-bit integer in the one form that Redis accepts: no sign but `-`, no
/// leading zero, no space.
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] => return (!negative).then_some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut value: u64 = 0;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // 19 digits stay below 10^19, which a u64 holds.
        value = value * 10 + u64::from(digit);
    }
    match negative {
        false => i64::try_from(value).ok(),
        true if value <= i64::MIN.unsigned_abs() => Some(0i64.wrapping_sub_unsigned(value)),
        true => None,
    }
}

/// A size with an optional unit: `k` is 1000 bytes and `kb` 1024, likewise `m`, `g`.
///
/// Redis reads no digits as zero, so `gb` is a valid way to write nothing. What does not fit
/// becomes the largest size, which the bounds of most settings then refuse.
pub fn parse_memory(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match &unit.to_ascii_lowercase()[..] {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    let number = number.iter().fold(0u64, |number, digit| {
        number
            .saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    });
    Some(number.saturating_mul(factor))
}

/// A size with the largest unit that divides it, as CONFIG REWRITE prints it.
pub fn format_memory(bytes: u64) -> String {
    for (shift, unit) in [(30, "gb"), (20, "mb"), (10, "kb")] {
        if bytes != 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_form_of_an_integer_counts() {
        let good = [
            ("0", 0),
            ("-1", -1),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ];
        for (text, value) in good {
            assert_eq!(parse_i64(text.as_bytes()), Some(value), "{text}");
        }
        let bad = [
            "",
            "-",
            "-0",
            "01",
            "+1",
            " 1",
            "1 ",
            "1a",
            "9223372036854775808",
        ];
        for text in bad
            .into_iter()
            .chain(["-9223372036854775809", "99999999999999999999"])
        {
            assert_eq!(parse_i64(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("100", 100),
            ("1b", 1),
            ("1k", 1000),
            ("1KB", 1024),
            ("2m", 2_000_000),
            ("2mB", 2 << 20),
            ("3g", 3_000_000_000),
            ("3Gb", 3 << 30),
            ("", 0),
            ("gb", 0),
            ("99999999999999999999gb", u64::MAX),
        ] {
            assert_eq!(parse_memory(text.as_bytes()), Some(bytes), "{text:?}");
        }
        for text in ["1x", "-1", "1.5gb", "1 gb", " 1", "0x10", "1tb"] {
            assert_eq!(parse_memory(text.as_bytes()), None, "{text:?}");
        }
        for (bytes, text) in [
            (0, "0"),
            (1000, "1000"),
            (1536 << 10, "1536kb"),
            (1 << 30, "1gb"),
        ] {
            assert_eq!(format_memory(bytes), text);
        }
    }

    #[test]
    fn numbers_are_read_as_in_c() {
        let cases = [
            ("1", 1),
            ("12abc", 12),
            ("-3", -3),
            (" +3", 3),
            ("+-3", 0),
            ("abc", 0),
            ("", 0),
            ("-", 0),
        ];
        for (word, value) in cases {
            assert_eq!(leading(word.as_bytes()), value, "{word}");
        }
    }
}
