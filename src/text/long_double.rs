//! The `long double` of x86, which INCRBYFLOAT's replies are made of.
//!
//! Redis adds in 80-bit floating point and prints 17 digits behind the point,
//! so 3000 and 0.1 make 3000.10000000000000009. Other hardware prints other
//! digits; the ones of x86 are what clients have seen for ten years.

use std::fmt;

use rustc_apfloat::ieee::{Double, X87DoubleExtended};
use rustc_apfloat::{Float, FloatConvert, Round, Status};

/// A number with a significand of 64 bits. It is never NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LongDouble(X87DoubleExtended);

/// Redis copies the text into a buffer of 5 KiB and refuses what does not fit.
/// That bounds the work that a text can cause, too.
const TEXT_MAX: usize = 5 * 1024 - 1;

impl LongDouble {
    /// 0
    pub const ZERO: LongDouble = LongDouble(X87DoubleExtended::ZERO);

    /// A number as C's `strtold` reads it, but not NaN, not what is too large
    /// or too small to be anything but infinity or 0, and no space around it.
    pub fn parse(text: &[u8]) -> Option<LongDouble> {
        if text.len() > TEXT_MAX {
            return None;
        }
        let (negative, magnitude) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] | rest => (false, rest),
        };
        let value = match magnitude {
            [b'0', b'x' | b'X', digits @ ..] => parse_hexadecimal(digits)?.in_range()?,
            infinity
                if infinity.eq_ignore_ascii_case(b"inf")
                    || infinity.eq_ignore_ascii_case(b"infinity") =>
            {
                X87DoubleExtended::INFINITY
            }
            digits => parse_decimal(digits)?,
        };
        Some(LongDouble(if negative { -value } else { value }))
    }

    /// Whether it is no infinity.
    pub fn is_finite(self) -> bool {
        self.0.is_finite()
    }

    /// The sum, unless it is infinite or no number.
    pub fn add(self, other: LongDouble) -> Option<LongDouble> {
        let sum = (self.0 + other.0).value;
        sum.is_finite().then_some(LongDouble(sum))
    }

    /// These seconds in milliseconds; what an `i64` does not hold becomes its
    /// limit.
    pub fn to_millis_rounded_up(self) -> i64 {
        let millis = (self.0 * X87DoubleExtended::from_u128(1000).value).value;
        millis
            .to_i128_r(64, Round::TowardPositive, &mut false)
            .value as i64
    }
}

impl From<f64> for LongDouble {
    /// The same number, which is not NaN.
    fn from(value: f64) -> LongDouble {
        debug_assert!(!value.is_nan());
        let value = Double::from_bits(value.to_bits().into());
        LongDouble(value.convert(&mut false).value)
    }
}

/// Digits with a point and an exponent, without a sign.
fn parse_decimal(text: &[u8]) -> Option<X87DoubleExtended> {
    let number = Parts::split(text, u8::is_ascii_digit, b'e')?;
    if number.exponent.is_some_and(|digits| digits.is_empty()) {
        return None;
    }
    round(std::str::from_utf8(text).ok()?)?.in_range()
}

/// Hexadecimal digits with a point and a binary exponent, behind the `0x`.
pub(super) fn parse_hexadecimal<F: Float>(text: &[u8]) -> Option<Rounded<F>> {
    // Beyond this exponent, no digits that a text has room for can bring the
    // number back into range.
    const EXPONENT_MAX: i32 = 1_000_000;
    if text.len() > TEXT_MAX {
        return None;
    }
    let number = Parts::split(text, u8::is_ascii_hexdigit, b'p')?;
    let exponent = match number.exponent {
        Some([]) => return None,
        Some(digits) => digits.iter().fold(0i32, |exponent, digit| {
            (exponent * 10 + i32::from(digit - b'0')).min(EXPONENT_MAX)
        }),
        None => 0,
    };
    let sign = if number.exponent_is_negative { "-" } else { "" };
    let significand = std::str::from_utf8(number.significand).ok()?;
    round(&format!("0x{significand}p{sign}{exponent}"))
}

/// The number nearest to what a text says.
pub(super) struct Rounded<F> {
    /// The number.
    pub value: F,
    /// What the text says is too large or too small to be anything but
    /// infinity or 0.
    pub is_lost: bool,
}

impl<F> Rounded<F> {
    fn in_range(self) -> Option<F> {
        (!self.is_lost).then_some(self.value)
    }
}

/// The number nearest to a text of correct form.
fn round<F: Float>(text: &str) -> Option<Rounded<F>> {
    let rounded = F::from_str_r(text, Round::NearestTiesToEven).ok()?;
    let value = rounded.value;
    let is_lost = value.is_infinite() || (value.is_zero() && rounded.status != Status::OK);
    Some(Rounded { value, is_lost })
}

/// A text of correct form, taken apart.
struct Parts<'a> {
    significand: &'a [u8],
    exponent_is_negative: bool,
    /// Digits alone.
    exponent: Option<&'a [u8]>,
}

impl<'a> Parts<'a> {
    fn split(text: &'a [u8], is_digit: fn(&u8) -> bool, mark: u8) -> Option<Parts<'a>> {
        let is_mark = |byte: &u8| byte.to_ascii_lowercase() == mark;
        let (significand, exponent) = match text.iter().position(is_mark) {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        let points = significand.iter().filter(|&&byte| byte == b'.').count();
        let digits = significand.iter().filter(|byte| is_digit(byte)).count();
        if points > 1 || digits == 0 || points + digits < significand.len() {
            return None;
        }
        let (exponent_is_negative, exponent) = match exponent {
            Some([b'-', digits @ ..]) => (true, Some(digits)),
            Some([b'+', digits @ ..]) => (false, Some(digits)),
            other => (false, other),
        };
        let exponent_is_number =
            exponent.is_none_or(|digits| digits.iter().all(u8::is_ascii_digit));
        exponent_is_number.then_some(Parts {
            significand,
            exponent_is_negative,
            exponent,
        })
    }
}

/// How many digits stand behind the point before the zeros at the end go.
const FRACTION_DIGITS: usize = 17;
const FRACTION_SCALE: u128 = 10u128.pow(FRACTION_DIGITS as u32);

impl fmt::Display for LongDouble {
    /// As C's `%.17Lf`, exactly rounded, without zeros at the end. -0 is 0.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_infinite() {
            return f.write_str(if self.0.is_negative() { "-inf" } else { "inf" });
        }
        // A sign, 15 bits of exponent, 64 bits of significand.
        let bits = self.0.to_bits();
        let significand = bits as u64;
        let biased = (bits >> 64) as i32 & 0x7fff;
        let exponent = biased.max(1) - 16383 - 63;
        let (integer, fraction) = match u32::try_from(exponent) {
            Ok(exponent) => (shifted(significand, exponent), 0),
            Err(_) => fixed_point(significand, exponent.unsigned_abs()),
        };
        let fraction = format!("{fraction:0FRACTION_DIGITS$}");
        let fraction = fraction.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        // Redis turns the "-0" that is left of "-0.000…" into "0".
        let zero = integer == "0" && fraction.is_empty();
        let sign = if self.0.is_negative() && !zero {
            "-"
        } else {
            ""
        };
        write!(f, "{sign}{integer}{point}{fraction}")
    }
}

/// The digits of `significand / 2^shift`, the fraction as a number of
/// [`FRACTION_DIGITS`] digits; a tie goes to the even one.
fn fixed_point(significand: u64, shift: u32) -> (String, u128) {
    // Less than 2^64 · 2^57: no product is lost, and from 2^128 on nothing is
    // left of any.
    let scaled = u128::from(significand) * FRACTION_SCALE;
    let quotient = scaled.checked_shr(shift).unwrap_or(0);
    let rest = scaled - quotient.checked_shl(shift).unwrap_or(0);
    let half = 1u128.checked_shl(shift - 1).unwrap_or(u128::MAX);
    let up = rest > half || (rest == half && quotient % 2 == 1);
    let rounded = quotient + u128::from(up);
    let integer = rounded / FRACTION_SCALE;
    (integer.to_string(), rounded % FRACTION_SCALE)
}

/// The digits of `significand · 2^shift`: at most 4933.
fn shifted(significand: u64, shift: u32) -> String {
    const LIMB_DIGITS: usize = 9;
    const LIMB: u64 = 10u64.pow(LIMB_DIGITS as u32);
    // Limbs of nine decimal digits, the lowest first.
    let mut limbs = Vec::new();
    let mut carry = significand;
    while carry > 0 {
        limbs.push(carry % LIMB);
        carry /= LIMB;
    }
    let mut left = shift;
    while left > 0 {
        // A limb is below 2^30, so 32 bits more and a carry fit into 64.
        let step = left.min(32);
        for limb in &mut limbs {
            let product = (*limb << step) + carry;
            *limb = product % LIMB;
            carry = product / LIMB;
        }
        while carry > 0 {
            limbs.push(carry % LIMB);
            carry /= LIMB;
        }
        left -= step;
    }
    let mut text = limbs.pop().unwrap_or(0).to_string();
    for limb in limbs.iter().rev() {
        text += &format!("{limb:0LIMB_DIGITS$}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<LongDouble> {
        LongDouble::parse(text.as_bytes())
    }

    /// Recorded from INCRBYFLOAT of a redis-server on x86-64.
    #[test]
    fn sums_have_the_digits_that_redis_prints() {
        let cases = [
            ("3000", "0.1", "3000.10000000000000009"),
            ("0.1", "0.2", "0.3"),
            ("10.5", "0.1", "10.6"),
            ("-3", "1.1", "-1.9"),
            ("-0.5", "0.5", "0"),
            ("5.0e3", "2.0e2", "5200"),
            ("0x1.8p1", "0x.8", "3.5"),
            ("1", "1e-17", "1.00000000000000001"),
            ("0", "5e-18", "0"),
            ("0", "1.5e-17", "0.00000000000000002"),
            ("0", "2.5e-17", "0.00000000000000002"),
            ("-1e-18", "0", "0"),
            ("3e-4940", "0", "0"),
            ("0.99999999999999999999", "0", "1"),
            ("9999999999999999999.5", "0", "10000000000000000000"),
            ("17179869184", "0.1", "17179869184.09999999962747097"),
            ("18446744073709551615", "0", "18446744073709551615"),
            ("18446744073709551616", "1", "18446744073709551616"),
            (
                "0",
                "123456789012345678901234567890",
                "123456789012345678899921813504",
            ),
        ];
        for (a, b, sum) in cases {
            let (a, b) = (parse(a).unwrap(), parse(b).unwrap());
            assert_eq!(a.add(b).unwrap().to_string(), sum);
        }
        let [infinity, most] = ["inf", "1e4932"].map(|text| parse(text).unwrap());
        assert_eq!(infinity.add(infinity), None);
        assert_eq!(infinity.add(parse("-inf").unwrap()), None);
        assert_eq!(most.add(most), None);
    }

    #[test]
    fn only_what_strtold_reads_to_the_end_is_a_number() {
        let good = [
            ("5", "5"),
            ("+5", "5"),
            ("-5", "-5"),
            ("005", "5"),
            (".5", "0.5"),
            ("5.", "5"),
            ("5e3", "5000"),
            ("5E+3", "5000"),
            ("5e-3", "0.005"),
            ("-0", "0"),
            ("-1e-30", "0"),
            ("0x10", "16"),
            ("0XaP-1", "5"),
            ("0x.8", "0.5"),
            ("0x1.p4", "16"),
            ("0e400000", "0"),
            ("-0x0p-99999999999", "0"),
            ("inf", "inf"),
            ("-Infinity", "-inf"),
            ("0x1p00000000000000000000004", "16"),
            ("1e00000000000000000000000", "1"),
        ];
        for (text, printed) in good {
            assert_eq!(
                parse(text).map(|n| n.to_string()).as_deref(),
                Some(printed),
                "{text}"
            );
        }
        let bad = [
            "",
            "-",
            "+",
            ".",
            "-.",
            "e5",
            ".e5",
            "5e",
            "5e+",
            "5e1.5",
            "5e5e5",
            "1.2.3",
            "--5",
            "+-5",
            " 5",
            "5 ",
            "5\0",
            "1_000",
            "1,5",
            "0x",
            "0x.",
            "0xp1",
            "0x1p",
            "0x1p-",
            "0x1g",
            "nan",
            "-NaN",
            "nan(1)",
            "infinit",
            "\u{663}",
            "1e5000",
            "-1e5000",
            "1e-5000",
            "1e99999999999999999999",
            "1e-99999999999999999999",
            "0x1p16384",
            "0x1p-16447",
            "0x1p99999999999999999999",
            "0x1p-99999999999999999999",
        ];
        for text in bad {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_text_of_any_length_costs_little() {
        let zeros = "0".repeat(4932);
        assert_eq!(parse(&format!("1{zeros}")).unwrap().to_string().len(), 4933);
        assert_eq!(parse(&format!("2{zeros}")), None, "that is infinite");
        assert!(parse(&format!("0.{}", "1".repeat(TEXT_MAX - 2))).is_some());
        assert_eq!(parse(&"1".repeat(TEXT_MAX + 1)), None);
        assert_eq!(parse(&format!("0.{}", "1".repeat(TEXT_MAX - 1))), None);
        let shrunk = format!("0x{}p-20000", "f".repeat(5000));
        assert_eq!(parse(&shrunk).unwrap().to_string(), "1");
    }
}
