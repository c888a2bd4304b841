//! Numbers as C's `printf` writes them with `%g`, and as its `strtod` reads
//! them from the start of a text.

use std::io::{self, Write};

use rustc_apfloat::Float;
use rustc_apfloat::ieee::Double;

use super::long_double::parse_hexadecimal;

/// [`write_general`] writes no more bytes than this for 14 digits or fewer.
pub const GENERAL_LEN_MAX: usize = 32;

/// Writes a number with so many significant digits, 1 at least, as `%.14g`
/// does for 14: with an exponent if that is small or large, and without zeros
/// at the end.
pub fn write_general(out: &mut impl Write, number: f64, digits: usize) -> io::Result<()> {
    if number.is_nan() {
        let text = if number.is_sign_negative() {
            "-nan"
        } else {
            "nan"
        };
        return out.write_all(text.as_bytes());
    }
    if number.is_sign_negative() {
        out.write_all(b"-")?;
    }
    let magnitude = number.abs();
    if magnitude.is_infinite() {
        return out.write_all(b"inf");
    }
    // Whole numbers of few digits are the usual ones.
    const WHOLE: [f64; 15] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14,
    ];
    if magnitude < WHOLE[digits.min(14)] && magnitude.trunc() == magnitude {
        let mut buffer = itoa::Buffer::new();
        return out.write_all(buffer.format(magnitude as u64).as_bytes());
    }
    let text = format!("{magnitude:.*e}", digits - 1);
    let (significand, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let significand = match significand.split_once('.') {
        Some((_, fraction)) if fraction.bytes().all(|digit| digit == b'0') => &significand[..1],
        Some(_) => significand.trim_end_matches('0'),
        None => significand,
    };
    let (first, rest) = significand.split_at(1);
    let rest = rest.strip_prefix('.').unwrap_or(rest);
    match exponent {
        -4..0 => {
            let zeros = (-1 - exponent) as usize;
            write!(out, "0.{:0<zeros$}{first}{rest}", "")
        }
        0.. if (exponent as usize) < digits => {
            let places = exponent as usize;
            match rest.split_at_checked(places) {
                Some((whole, "")) => write!(out, "{first}{whole}"),
                Some((whole, fraction)) => write!(out, "{first}{whole}.{fraction}"),
                None => write!(out, "{first}{rest:0<places$}"),
            }
        }
        _ => {
            let sign = if exponent < 0 { '-' } else { '+' };
            write!(out, "{significand}e{sign}{:02}", exponent.abs())
        }
    }
}

/// The number that a text begins with, and how long its text is: decimal or
/// hexadecimal digits, infinity or NaN, with a sign perhaps.
pub fn read_start(text: &[u8]) -> Option<(f64, usize)> {
    let (is_negative, magnitude) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (value, len) = read_magnitude(magnitude)?;
    let value = if is_negative { -value } else { value };
    Some((value, text.len() - magnitude.len() + len))
}

/// The number that a text is, with white space around it perhaps. A NUL ends
/// the text.
pub fn read_all(text: &[u8]) -> Option<f64> {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let text = text.split(|byte| *byte == 0).next()?;
    let start = text.iter().position(|byte| !is_space(byte))?;
    let (number, len) = read_start(&text[start..])?;
    let rest = &text[start + len..];
    rest.iter().all(is_space).then_some(number)
}

fn read_magnitude(text: &[u8]) -> Option<(f64, usize)> {
    let begins_with = |word: &[u8]| {
        let start = text.get(..word.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(word))
    };
    if begins_with(b"infinity") {
        return Some((f64::INFINITY, 8));
    }
    if begins_with(b"inf") {
        return Some((f64::INFINITY, 3));
    }
    if begins_with(b"nan") {
        return Some((f64::NAN, 3 + nan_tag(&text[3..])));
    }
    let hexadecimal = begins_with(b"0x").then(|| read_hexadecimal(&text[2..]));
    if let Some((value, len)) = hexadecimal.flatten() {
        return Some((value, 2 + len));
    }
    let len = significand(text, u8::is_ascii_digit)?;
    let len = len + exponent(&text[len..], b'e');
    // The grammar of what was found is that of Rust.
    let value = str::from_utf8(&text[..len]).ok()?.parse().ok()?;
    Some((value, len))
}

/// How long the parenthesis behind a NaN is: `nan(1)`.
fn nan_tag(text: &[u8]) -> usize {
    let [b'(', tag @ ..] = text else { return 0 };
    let is_tag = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    match tag.iter().position(|byte| !is_tag(byte)) {
        Some(len) if tag[len] == b')' => len + 2,
        _ => 0,
    }
}

/// How long digits with a point among them are, if there is a digit.
fn significand(text: &[u8], is_digit: fn(&u8) -> bool) -> Option<usize> {
    let count = |text: &[u8]| text.iter().take_while(|byte| is_digit(byte)).count();
    let whole = count(text);
    let fraction = match text.get(whole) {
        Some(b'.') => Some(count(&text[whole + 1..])),
        _ => None,
    };
    match (whole, fraction) {
        (0, None | Some(0)) => None,
        (_, None) => Some(whole),
        (_, Some(fraction)) => Some(whole + 1 + fraction),
    }
}

/// How long an exponent is, if there is one with a digit.
fn exponent(text: &[u8], mark: u8) -> usize {
    let digits = match text {
        [letter, b'+' | b'-', digits @ ..] | [letter, digits @ ..]
            if letter.eq_ignore_ascii_case(&mark) =>
        {
            digits
        }
        _ => return 0,
    };
    match digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count()
    {
        0 => 0,
        count => text.len() - digits.len() + count,
    }
}

/// The digits behind `0x`.
fn read_hexadecimal(text: &[u8]) -> Option<(f64, usize)> {
    let significand_len = significand(text, u8::is_ascii_hexdigit)?;
    let len = significand_len + exponent(&text[significand_len..], b'p');
    let exponent = &text[significand_len..len];
    let digits = shorten(&text[..significand_len], exponent);
    let number = parse_hexadecimal::<Double>(digits.as_bytes())?;
    let value = f64::from_bits(number.value.to_bits() as u64);
    Some((value, len))
}

/// Hexadecimal digits that tell the same double, but are few. Digits that are
/// too far behind to count matter only in that they are there.
fn shorten(significand: &[u8], exponent: &[u8]) -> String {
    const DIGITS_MAX: usize = 20;
    // Far beyond what a double can reach, whatever the digits before it.
    const EXPONENT_MAX: i64 = 1 << 40;
    let mut digits = String::new();
    let mut exponent = match exponent {
        [_, b'-', digits @ ..] => -decimal(digits, EXPONENT_MAX),
        [_, b'+', digits @ ..] | [_, digits @ ..] => decimal(digits, EXPONENT_MAX),
        [] => 0,
    };
    let mut is_fraction = false;
    let mut is_more = false;
    for digit in significand {
        if *digit == b'.' {
            is_fraction = true;
            continue;
        }
        if is_fraction {
            exponent -= 4;
        }
        if digits.is_empty() && *digit == b'0' {
            continue;
        }
        if digits.len() == DIGITS_MAX {
            is_more |= *digit != b'0';
            exponent += 4;
            continue;
        }
        digits.push(char::from(*digit));
    }
    if digits.is_empty() {
        return "0".into();
    }
    let more = if is_more { "1" } else { "0" };
    format!("{digits}.{more}p{}", exponent.clamp(-100_000, 100_000))
}

fn decimal(digits: &[u8], max: i64) -> i64 {
    digits.iter().fold(0, |value, digit| {
        (value * 10 + i64::from(digit - b'0')).min(max)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from `printf` of glibc.
    #[test]
    fn numbers_are_written_as_printf_does() {
        let check = |number: f64, digits: usize, expected: &str| {
            let mut out = Vec::new();
            write_general(&mut out, number, digits).unwrap();
            assert_eq!(String::from_utf8_lossy(&out), expected, "{number:?}");
        };
        check(0.0, 14, "0");
        check(-0.0, 14, "-0");
        check(1e13, 14, "10000000000000");
        check(1e14, 14, "1e+14");
        check(99999999999999.0, 14, "99999999999999");
        check(99999999999999.9, 14, "1e+14");
        check(0.1, 14, "0.1");
        check(1.0 / 3.0, 14, "0.33333333333333");
        check(0.0001, 14, "0.0001");
        check(0.00012345, 3, "0.000123");
        check(0.00001, 14, "1e-05");
        check(1234.5, 3, "1.23e+03");
        check(1234.0, 3, "1.23e+03");
        check(2.5, 1, "2");
        check(0.5, 1, "0.5");
        check(1e100, 14, "1e+100");
        check(1200.0, 4, "1200");
        check(1200.5, 14, "1200.5");
        check(f64::MAX, 14, "1.7976931348623e+308");
        check(5e-324, 14, "4.9406564584125e-324");
        check(f64::INFINITY, 14, "inf");
        check(-f64::NAN, 14, "-nan");
    }

    /// Recorded from `strtod` of glibc.
    #[test]
    fn numbers_are_read_as_strtod_does() {
        let check = |text: &str, expected: Option<(f64, usize)>| {
            assert_eq!(read_start(text.as_bytes()), expected, "{text}");
        };
        check("", None);
        check("-", None);
        check(".", None);
        check("e1", None);
        check("12,", Some((12.0, 2)));
        check("1.", Some((1.0, 2)));
        check("-.5]", Some((-0.5, 3)));
        check("1e", Some((1.0, 1)));
        check("1e+", Some((1.0, 1)));
        check("1e+2x", Some((100.0, 4)));
        check("1e999", Some((f64::INFINITY, 5)));
        check("0x", Some((0.0, 1)));
        check("0x.", Some((0.0, 1)));
        check("0x1F", Some((31.0, 4)));
        check("0x.8p1", Some((1.0, 6)));
        check("0x1p", Some((1.0, 3)));
        check("0x1p-1074", Some((5e-324, 9)));
        check("0x1p99999999999999999999", Some((f64::INFINITY, 24)));
        check("0x0p99999999999999999999", Some((0.0, 24)));
        check("infinit", Some((f64::INFINITY, 3)));
        check("-InFiNiTy", Some((f64::NEG_INFINITY, 9)));
        let nan =
            |text: &str| read_start(text.as_bytes()).map(|(value, len)| (value.is_nan(), len));
        assert_eq!(nan("nan(12_a)b"), Some((true, 9)));
        assert_eq!(nan("nan(1-)"), Some((true, 3)));
        assert_eq!(read_all(b" \t12\n"), Some(12.0));
        assert_eq!(read_all(b"12\0x"), Some(12.0));
        assert_eq!(read_all(b"12x"), None);
        assert_eq!(read_all(b" "), None);
        let long = format!("0x1{}8", "0".repeat(13));
        check(&long, Some((f64::from_bits(0x4370_0000_0000_0000), 17)));
    }
}
