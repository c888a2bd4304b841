//! Doubles as Redis 7.2 reads and prints them: scores, weights, bounds.
//!
//! What is printed are the fewest digits that tell the number, in the layout
//! of the library that Redis prints with since 7.2. That library finds a digit
//! more than the fewest once in a thousand numbers of 17 digits; either text
//! reads as the same number.

use rustc_apfloat::Float;
use rustc_apfloat::ieee::Double;

use super::long_double::{Rounded, parse_hexadecimal};

/// A number as C's `strtod` reads it, if it is all of the text: decimal or
/// hexadecimal digits or `inf`, but no space, not NaN, and not what is too
/// large or too small to be anything but infinity or 0.
pub fn parse(text: &[u8]) -> Option<f64> {
    if let Some(value) = parse_digits(text) {
        return Some(value);
    }
    let number = read(text)?;
    (!number.is_lost).then_some(number.value)
}

/// A number of digits alone, and a minus: mostly it is one, and costs little.
fn parse_digits(text: &[u8]) -> Option<f64> {
    // So many digits fit into 64 bits.
    const DIGITS_MAX: usize = 19;
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if !(1..=DIGITS_MAX).contains(&digits.len()) {
        return None;
    }
    let mut value: u64 = 0;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    let value = value as f64;
    Some(if is_negative { -value } else { value })
}

/// A number where Redis asks of `strtod` only that it has read to the end: no
/// text at all is 0, there may be white space before it, what is too large is
/// infinite, and a NUL ends the text.
pub fn parse_lax(text: &[u8]) -> Option<f64> {
    if let Some(value) = parse_digits(text) {
        return Some(value);
    }
    let text = &text[..memchr::memchr(0, text).unwrap_or(text.len())];
    if text.is_empty() {
        return Some(0.0);
    }
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let start = text.iter().position(|byte| !is_space(byte))?;
    Some(read(&text[start..])?.value)
}

fn read(text: &[u8]) -> Option<Rounded<f64>> {
    let (is_negative, magnitude) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] | rest => (false, rest),
    };
    if let [b'0', b'x' | b'X', digits @ ..] = magnitude {
        let number = parse_hexadecimal::<Double>(digits)?;
        let value = f64::from_bits(number.value.to_bits() as u64);
        let value = if is_negative { -value } else { value };
        let is_lost = number.is_lost;
        return Some(Rounded { value, is_lost });
    }
    // The grammar of decimal numbers is that of C.
    let value: f64 = str::from_utf8(text).ok()?.parse().ok()?;
    let is_lost = match value {
        value if value.is_nan() => return None,
        value if value.is_infinite() => !magnitude[0].is_ascii_alphabetic(),
        0.0 => {
            let exponent = |byte: &&u8| byte.eq_ignore_ascii_case(&b'e');
            let significand = magnitude.iter().take_while(|byte| !exponent(byte));
            significand
                .into_iter()
                .any(|byte| (b'1'..=b'9').contains(byte))
        }
        _ => false,
    };
    Some(Rounded { value, is_lost })
}

/// The whole number that it is, if Redis prints it as one: up to 2^62.
pub fn as_integer(value: f64) -> Option<i64> {
    const MAX: f64 = (1u64 << 62) as f64;
    let integer = value as i64;
    (value.abs() <= MAX && integer as f64 == value).then_some(integer)
}

/// More than the text of any double is long.
const TEXT_MAX: usize = 32;

/// Room for the text of a double.
#[derive(Default)]
pub struct Buffer {
    text: [u8; TEXT_MAX],
    len: usize,
}

impl Buffer {
    /// The text of a number; of NaN its sign is told as well.
    pub fn format(&mut self, value: f64) -> &[u8] {
        match as_integer(value) {
            // A 0 keeps its sign.
            Some(integer) if integer != 0 || value.is_sign_positive() => {
                self.len = 0;
                self.push(itoa::Buffer::new().format(integer).as_bytes());
                &self.text[..self.len]
            }
            _ => self.format_digits(value),
        }
    }

    /// The same without regard to whether it is a whole number: one with
    /// zeros at the end may have an exponent.
    pub fn format_digits(&mut self, value: f64) -> &[u8] {
        self.len = 0;
        if value.is_sign_negative() {
            self.push(b"-");
        }
        match value.abs() {
            0.0 => self.push(b"0"),
            f64::INFINITY => self.push(b"inf"),
            magnitude if magnitude.is_nan() => self.push(b"nan"),
            magnitude => self.push_digits(&Digits::of(magnitude)),
        }
        &self.text[..self.len]
    }

    fn push_digits(&mut self, number: &Digits) {
        let digits = number.digits();
        let (count, exponent) = (digits.len() as i32, number.exponent);
        // Where the first digit stands, as the exponent of 10.
        let first = exponent + count - 1;
        if exponent >= 0 && first.abs() < count + 7 {
            self.push(digits);
            self.push_zeros(exponent);
        } else if exponent < 0 && (exponent > -7 || first.abs() < 4) {
            if first < 0 {
                self.push(b"0.");
                self.push_zeros(-1 - first);
                self.push(digits);
            } else {
                let (integer, fraction) = digits.split_at(first as usize + 1);
                self.push(integer);
                self.push(b".");
                self.push(fraction);
            }
        } else {
            self.push(&digits[..1]);
            if count > 1 {
                self.push(b".");
                self.push(&digits[1..]);
            }
            self.push(if first < 0 { b"e-" } else { b"e+" });
            self.push(itoa::Buffer::new().format(first.abs()).as_bytes());
        }
    }

    fn push_zeros(&mut self, count: i32) {
        self.push(&[b'0'; TEXT_MAX][..count as usize]);
    }

    fn push(&mut self, bytes: &[u8]) {
        self.text[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }
}

/// The fewest digits that tell a number.
struct Digits {
    digits: [u8; 24],
    start: usize,
    end: usize,
    /// The number is the digits as a whole number, times 10 to this power.
    exponent: i32,
}

impl Digits {
    /// Of a number that is positive and finite.
    fn of(value: f64) -> Digits {
        let mut printed = zmij::Buffer::new();
        let printed = printed.format_finite(value).as_bytes();
        let mut number = Digits {
            digits: [0; 24],
            start: 0,
            end: 0,
            exponent: 0,
        };
        let mut is_fraction = false;
        for (at, &byte) in printed.iter().enumerate() {
            match byte {
                b'.' => is_fraction = true,
                b'e' => {
                    let exponent = str::from_utf8(&printed[at + 1..]).unwrap_or_default();
                    number.exponent += exponent.parse().unwrap_or(0);
                    break;
                }
                digit => {
                    number.digits[number.end] = digit;
                    number.end += 1;
                    number.exponent -= i32::from(is_fraction);
                }
            }
        }
        while number.digits().ends_with(b"0") {
            number.end -= 1;
            number.exponent += 1;
        }
        while number.digits().starts_with(b"0") {
            number.start += 1;
        }
        number
    }

    fn digits(&self) -> &[u8] {
        &self.digits[self.start..self.end]
    }
}

/// The text of a number in 17 digits, less the zeros at the end, as C's
/// `%.17g` prints it. ZSCAN tells the scores of large sorted sets so.
pub fn with_17_digits(value: f64) -> String {
    let scientific = format!("{value:.16e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let without_zeros = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..17).contains(&exponent) {
        let places = (16 - exponent) as usize;
        return without_zeros(&format!("{value:.places$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    let digits = without_zeros(digits);
    format!("{digits}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(value: f64) -> String {
        String::from_utf8(Buffer::default().format(value).to_vec()).unwrap()
    }

    #[test]
    fn numbers_are_printed_as_redis_7_2_prints_them() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (3.0, "3"),
            (-17.0, "-17"),
            (0.1, "0.1"),
            (-0.1, "-0.1"),
            (2.141, "2.141"),
            (1.5e300, "1.5e+300"),
            (1e17, "100000000000000000"),
            (1e18, "1000000000000000000"),
            (4e18, "4000000000000000000"),
            (4611686018427387904.0, "4611686018427387904"),
            (5e18, "5e+18"),
            (1e21, "1e+21"),
            (123456789012345680000.0, "123456789012345680000"),
            (-123456789012345680000.0, "-123456789012345680000"),
            (1.5e25, "1.5e+25"),
            (12345678e7, "123456780000000"),
            (0.00001, "0.00001"),
            (0.000001, "0.000001"),
            (1e-7, "1e-7"),
            (1.5e-7, "1.5e-7"),
            (0.1234567, "0.1234567"),
            (0.00012345678, "1.2345678e-4"),
            (0.0012345678, "0.0012345678"),
            (0.30000000000000004, "0.30000000000000004"),
            (1234.5678901234567, "1234.5678901234567"),
            (12345.678901234567, "1.2345678901234567e+4"),
            (12345678.5, "12345678.5"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (-f64::MAX, "-1.7976931348623157e+308"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN.copysign(1.0), "nan"),
            (f64::NAN.copysign(-1.0), "-nan"),
        ];
        for (value, printed) in cases {
            assert_eq!(text(value), printed);
        }
    }

    #[test]
    fn whole_numbers_have_an_exponent_where_nobody_looks_whether_they_are_whole() {
        let cases = [
            (3.0, "3"),
            (12_000_000.0, "12000000"),
            (10_000_000.0, "10000000"),
            (100_000_000.0, "1e+8"),
            (-0.0, "-0"),
            (0.0, "0"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (value, printed) in cases {
            assert_eq!(Buffer::default().format_digits(value), printed.as_bytes());
        }
    }

    /// Recorded from `printf` of the C library.
    #[test]
    fn numbers_are_printed_in_17_digits_as_c_prints_them() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (3.0, "3"),
            (-100.0, "-100"),
            (0.1, "0.10000000000000001"),
            (1.1, "1.1000000000000001"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (123456789012345678.0, "1.2345678901234568e+17"),
            (0.0001, "0.0001"),
            (0.00001, "1.0000000000000001e-05"),
            (100_000_000_000_000.12, "100000000000000.12"),
            (5e-324, "4.9406564584124654e-324"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (value, printed) in cases {
            assert_eq!(with_17_digits(value), printed);
        }
    }

    #[test]
    fn only_what_strtod_reads_to_the_end_is_a_number() {
        let good = [
            ("5", 5.0),
            ("+5", 5.0),
            ("-5", -5.0),
            ("005", 5.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("5e3", 5000.0),
            ("5.E+3", 5000.0),
            ("-1.5e-3", -0.0015),
            ("0x10", 16.0),
            ("-0XaP-1", -5.0),
            ("0x.8", 0.5),
            ("0e400000", 0.0),
            ("9223372036854775807", 9223372036854775807.0),
            ("9007199254740993", 9007199254740992.0),
            ("9999999999999999999", 1e19),
            ("99999999999999999999", 1e20),
            ("-00000000000000000017", -17.0),
            ("1e-310", 1e-310),
            ("inf", f64::INFINITY),
            ("+INF", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
        ];
        for (text, value) in good {
            assert_eq!(parse(text.as_bytes()), Some(value), "{text}");
            assert_eq!(parse_lax(text.as_bytes()), Some(value), "{text}");
        }
        let zero = parse(b"-0").unwrap();
        assert!(zero == 0.0 && zero.is_sign_negative());
        let bad = [
            "-",
            "+",
            ".",
            "-.",
            "e5",
            ".e5",
            "5e",
            "5e+",
            "5e1.5",
            "1.2.3",
            "--5",
            "+-5",
            "5 ",
            "1_000",
            "1,5",
            "0x",
            "0x.",
            "0xp1",
            "0x1p",
            "0x1g",
            "nan",
            "-NaN",
            "nan(1)",
            "infinit",
            "infinityx",
            "1f",
            "1d",
            "\u{663}",
            "abc",
        ];
        for text in bad {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
            assert_eq!(parse_lax(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn where_less_is_checked_more_is_read() {
        let cases = [
            ("", 0.0),
            ("\0x", 0.0),
            (" 5", 5.0),
            ("\t\n\x0b\x0c\r -5", -5.0),
            ("5\0what", 5.0),
            ("1e400", f64::INFINITY),
            ("-1e400", f64::NEG_INFINITY),
            ("1e-400", 0.0),
            ("0x1p5000", f64::INFINITY),
            ("0x1p-5000", 0.0),
        ];
        for (text, value) in cases {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
            assert_eq!(parse_lax(text.as_bytes()), Some(value), "{text:?}");
        }
        assert_eq!(parse_lax(b"  "), None);
        assert_eq!(parse_lax(b"5 "), None);
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_as_what_it_was(bits in any::<u64>(), small in -1e6..1e6f64) {
            for value in [f64::from_bits(bits), small, small.round(), (small * 100.0).round() / 100.0] {
                if value.is_nan() {
                    continue;
                }
                let mut buffer = Buffer::default();
                prop_assert_eq!(parse(buffer.format(value)), Some(value));
                prop_assert_eq!(parse(buffer.format_digits(value)), Some(value));
                prop_assert_eq!(parse(with_17_digits(value).as_bytes()), Some(value));
            }
        }
    }
}
