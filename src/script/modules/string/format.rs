//! `string.format` as Lua 5.1 has it, which is C's `sprintf` for each item.

use mlua::{Lua, MultiValue, Value};

use crate::script::modules::output::Output;
use crate::script::native::{Arguments, Raise, Result, truncate};

/// What stands between `%` and the letter of an item.
#[derive(Default)]
struct Item {
    left: bool,
    plus: bool,
    space: bool,
    alternate: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
}

/// Shorter strings end at their first NUL, as C's do.
const LONG: usize = 100;

/// `string.format`.
pub fn format(lua: &Lua, arguments: &Arguments) -> Result<MultiValue> {
    let text = arguments.string(lua, 1)?;
    let text = text.as_bytes();
    let mut rest: &[u8] = &text;
    let mut output = Output::new();
    let mut index = 1;
    while let Some(percent) = memchr::memchr(b'%', rest) {
        output.push(&rest[..percent])?;
        rest = &rest[percent + 1..];
        if let [b'%', after @ ..] = rest {
            output.push(b"%")?;
            rest = after;
            continue;
        }
        index += 1;
        if index > arguments.len() {
            return Err(Raise::argument(index, "no value"));
        }
        let item = Item::parse(&mut rest)?;
        let letter = rest.split_off_first().copied().unwrap_or(0);
        match letter {
            b'c' => {
                let byte = low_byte(arguments.number(lua, index)?);
                output.push(until_nul(&item.pad(b"", &[byte])))?;
            }
            b'd' | b'i' => {
                let number = truncate(arguments.number(lua, index)?);
                output.push(&item.signed(number))?;
            }
            b'o' | b'u' | b'x' | b'X' => {
                let number = to_unsigned(arguments.number(lua, index)?);
                output.push(&item.unsigned(number, letter))?;
            }
            b'e' | b'E' | b'f' | b'g' | b'G' => {
                let number = arguments.number(lua, index)?;
                output.push(&item.float(number, letter))?;
            }
            b'q' => quote(&arguments.string(lua, index)?.as_bytes(), &mut output)?,
            b's' => {
                let string = arguments.string(lua, index)?;
                let string = string.as_bytes();
                if item.precision.is_none() && string.len() >= LONG {
                    output.push(&string)?;
                } else {
                    let shown = until_nul(&string);
                    let most = item.precision.unwrap_or(shown.len()).min(shown.len());
                    output.push(&item.pad(b"", &shown[..most]))?;
                }
            }
            letter => {
                let mut why = b"invalid option '%".to_vec();
                why.extend((letter != 0).then_some(letter));
                why.extend_from_slice(b"' to 'format'");
                return Err(Raise::text(why));
            }
        }
    }
    output.push(rest)?;
    let text = output.into_string(lua)?;
    Ok(MultiValue::from_iter([Value::String(text)]))
}

impl Item {
    /// Reads what is before the letter.
    fn parse(rest: &mut &[u8]) -> Result<Item> {
        let mut item = Item::default();
        let mut flags = 0;
        while let Some((flag, after)) = rest.split_first() {
            match flag {
                b'-' => item.left = true,
                b'+' => item.plus = true,
                b' ' => item.space = true,
                b'#' => item.alternate = true,
                b'0' => item.zero = true,
                _ => break,
            }
            flags += 1;
            *rest = after;
        }
        if flags > 5 {
            return Err(Raise::text("invalid format (repeated flags)"));
        }
        item.width = two_digits(rest);
        if let [b'.', after @ ..] = *rest {
            *rest = after;
            item.precision = Some(two_digits(rest));
        }
        if rest.first().is_some_and(u8::is_ascii_digit) {
            let why = "invalid format (width or precision too long)";
            return Err(Raise::text(why));
        }
        Ok(item)
    }

    /// Fills a text up to the width.
    fn pad(&self, sign: &[u8], text: &[u8]) -> Vec<u8> {
        let missing = self.width.saturating_sub(sign.len() + text.len());
        let spaces = vec![b' '; missing];
        if self.left {
            [sign, text, &spaces].concat()
        } else {
            [&spaces, sign, text].concat()
        }
    }

    /// The same, with zeros after the sign if they are asked for.
    fn pad_number(&self, sign: &[u8], digits: &[u8]) -> Vec<u8> {
        if !self.zero || self.left {
            return self.pad(sign, digits);
        }
        let missing = self.width.saturating_sub(sign.len() + digits.len());
        [sign, &vec![b'0'; missing], digits].concat()
    }

    /// The same for an integer, whose precision is how many digits it has at
    /// least. With one, zeros do not fill the width.
    fn pad_integer(&self, sign: &[u8], digits: &[u8]) -> Vec<u8> {
        let Some(precision) = self.precision else {
            return self.pad_number(sign, digits);
        };
        let digits = if digits == b"0" { b"" } else { digits };
        let zeros = vec![b'0'; precision.saturating_sub(digits.len())];
        self.pad(sign, &[&zeros, digits].concat())
    }

    fn sign(&self, is_negative: bool) -> &'static [u8] {
        match (is_negative, self.plus, self.space) {
            (true, _, _) => b"-",
            (_, true, _) => b"+",
            (_, _, true) => b" ",
            _ => b"",
        }
    }

    fn signed(&self, number: i64) -> Vec<u8> {
        let digits = number.unsigned_abs().to_string();
        self.pad_integer(self.sign(number < 0), digits.as_bytes())
    }

    fn unsigned(&self, number: u64, letter: u8) -> Vec<u8> {
        let (mut prefix, mut digits) = match letter {
            b'o' => ("", format!("{number:o}")),
            b'x' => ("0x", format!("{number:x}")),
            b'X' => ("0X", format!("{number:X}")),
            _ => ("", number.to_string()),
        };
        if !self.alternate || number == 0 {
            prefix = "";
        }
        if letter == b'o' && self.alternate {
            // One more zero, unless there is one in front anyway.
            let has_zero = number == 0 && self.precision.is_none();
            if !has_zero && self.precision.unwrap_or(0) <= digits.len() {
                let old = if number == 0 { "" } else { &*digits };
                digits = format!("0{old}");
                let zeros = self.precision.unwrap_or(0).saturating_sub(digits.len());
                let digits = [&vec![b'0'; zeros], digits.as_bytes()].concat();
                return match self.precision {
                    Some(_) => self.pad(b"", &digits),
                    None => self.pad_number(b"", &digits),
                };
            }
        }
        self.pad_integer(prefix.as_bytes(), digits.as_bytes())
    }

    fn float(&self, number: f64, letter: u8) -> Vec<u8> {
        let sign = self.sign(number.is_sign_negative());
        let is_upper = letter.is_ascii_uppercase();
        let number = number.abs();
        if !number.is_finite() {
            let text = match (number.is_nan(), is_upper) {
                (true, false) => "nan",
                (true, true) => "NAN",
                (false, false) => "inf",
                (false, true) => "INF",
            };
            return self.pad(sign, text.as_bytes());
        }
        let precision = self.precision.unwrap_or(6);
        let mut text = match letter {
            b'f' => self.fixed(number, precision),
            b'e' | b'E' => self.exponential(number, precision),
            _ => self.general(number, precision.max(1)),
        };
        if is_upper {
            text.make_ascii_uppercase();
        }
        self.pad_number(sign, text.as_bytes())
    }

    fn fixed(&self, number: f64, precision: usize) -> String {
        let point = if self.alternate && precision == 0 {
            "."
        } else {
            ""
        };
        format!("{number:.precision$}{point}")
    }

    fn exponential(&self, number: f64, precision: usize) -> String {
        let text = format!("{number:.precision$e}");
        // Rust writes an exponent always, without a plus and leading zeros.
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let point = if self.alternate && precision == 0 {
            "."
        } else {
            ""
        };
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(exponent) => ('-', exponent),
            None => ('+', exponent),
        };
        format!("{digits}{point}e{sign}{exponent:0>2}")
    }

    /// The shorter of both, with so many digits.
    fn general(&self, number: f64, digits: usize) -> String {
        let text = format!("{number:.precision$e}", precision = digits - 1);
        let exponent = text.split_once('e').map_or("0", |(_, exponent)| exponent);
        let exponent: i64 = exponent.parse().unwrap_or(0);
        let is_fixed = (-4..digits as i64).contains(&exponent);
        let text = if is_fixed {
            self.fixed(number, (digits as i64 - 1 - exponent) as usize)
        } else {
            self.exponential(number, digits - 1)
        };
        if self.alternate {
            return text;
        }
        let (digits, rest) = match text.split_once('e') {
            Some((digits, exponent)) => (digits, format!("e{exponent}")),
            None => (&*text, String::new()),
        };
        if !digits.contains('.') {
            return text;
        }
        let digits = digits.trim_end_matches('0').trim_end_matches('.');
        format!("{digits}{rest}")
    }
}

/// Reads a number of two digits at most; none are 0.
fn two_digits(rest: &mut &[u8]) -> usize {
    let count = rest.iter().take(2).take_while(|byte| byte.is_ascii_digit());
    let (digits, after) = rest.split_at(count.count());
    *rest = after;
    let value = |value, digit: &u8| value * 10 + usize::from(digit - b'0');
    digits.iter().fold(0, value)
}

/// A number as C converts it to an unsigned one.
fn to_unsigned(number: f64) -> u64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    if number >= HALF {
        (truncate(number - HALF) as u64) ^ (1 << 63)
    } else {
        truncate(number) as u64
    }
}

/// The byte that C makes of a number: the lowest of a 32-bit integer, which is
/// 0 for what does not fit into one.
fn low_byte(number: f64) -> u8 {
    let number = truncate(number);
    i32::try_from(number).map_or(0, |number| number as u8)
}

fn until_nul(text: &[u8]) -> &[u8] {
    &text[..memchr::memchr(0, text).unwrap_or(text.len())]
}

/// Writes a string as Lua's source has it.
fn quote(text: &[u8], output: &mut Output) -> Result<()> {
    output.push(b"\"")?;
    for &byte in text {
        match byte {
            b'"' | b'\\' | b'\n' => output.push(&[b'\\', byte])?,
            b'\r' => output.push(b"\\r")?,
            0 => output.push(b"\\000")?,
            byte => output.push(&[byte])?,
        }
    }
    output.push(b"\"")
}
