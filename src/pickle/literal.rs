//! The text and number notations inside arguments: decimal lines, little-endian integers, the two kinds of escapes.
//!
//! Where CPython's two unpicklers read a notation differently (`I010` is 8 to one and an error to the other), it is
//! refused: no writer produces it, and a scanner that picks one reading can be fooled.
//! Errors are plain messages; the machine adds opcode and offset.

use super::value::Value;

/// Digits that CPython converts at most (`sys.int_info.default_max_str_digits`): conversion takes quadratic time.
const MAX_DIGITS: usize = 4300;

type Literal<T> = Result<T, String>;

/// The argument of INT: a decimal number, or `00` and `01`, which are `False` and `True`.
pub(super) fn int_line(line: &[u8]) -> Literal<Value> {
    match line {
        b"00" => Ok(Value::Bool(false)),
        b"01" => Ok(Value::Bool(true)),
        _ => decimal(line),
    }
}

/// The argument of LONG: a decimal number, with an `L` at its end as Python 2 printed it.
pub(super) fn long_line(line: &[u8]) -> Literal<Value> {
    decimal(line.strip_suffix(b"L").unwrap_or(line))
}

/// The argument of GET and PUT: base 10 to every reader, leading zeros or not.
pub(super) fn memo_line(line: &[u8]) -> Literal<u64> {
    let digits = line.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(line)
        .ok()
        .filter(|_| digits)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| format!("{} is no memo index", shown(line)))
}

/// The argument of FLOAT: what `repr(float)` prints.
pub(super) fn float_line(line: &[u8]) -> Literal<f64> {
    let parsed = std::str::from_utf8(line)
        .ok()
        .and_then(|text| text.parse().ok());
    let float: f64 = parsed.ok_or_else(|| format!("{} is not a number", shown(line)))?;
    // written with digits, it must have been finite
    if float.is_infinite() && line.iter().any(u8::is_ascii_digit) {
        return Err(format!("{} is too large for a float", shown(line)));
    }
    Ok(float)
}

fn decimal(line: &[u8]) -> Literal<Value> {
    let (negative, digits) = match line.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, line),
    };
    let plain = digits == b"0"
        || (digits.first().is_some_and(|&d| d != b'0') && digits.iter().all(u8::is_ascii_digit));
    if !plain {
        return Err(format!("{} is not a plain decimal number", shown(line)));
    }
    if digits.len() > MAX_DIGITS {
        return Err(format!(
            "a number of {} digits; Python reads up to {MAX_DIGITS}",
            digits.len()
        ));
    }
    let magnitude = magnitude(digits);
    Ok(integer(&twos_complement(&magnitude, negative)))
}

/// Decimal digits to little-endian 64-bit limbs: multiply by 10^18 and add, per 18 digits.
fn magnitude(digits: &[u8]) -> Vec<u64> {
    let mut limbs: Vec<u64> = Vec::new();
    for chunk in digits.chunks(18) {
        let scale = 10u128.pow(u32::try_from(chunk.len()).unwrap_or(18));
        let mut carry = chunk
            .iter()
            .fold(0u128, |n, &d| n * 10 + u128::from(d - b'0'));
        for limb in &mut limbs {
            let wide = u128::from(*limb) * scale + carry;
            *limb = wide as u64; // the low half
            carry = wide >> 64;
        }
        if carry > 0 {
            limbs.push(carry as u64); // a limb times 10^18 plus less than 2^64 carries less than 2^64
        }
    }
    limbs
}

/// Little-endian limbs and a sign to little-endian two's complement, with room for the sign bit.
fn twos_complement(magnitude: &[u64], negative: bool) -> Vec<u8> {
    let mut bytes: Vec<u8> = magnitude
        .iter()
        .flat_map(|limb| limb.to_le_bytes())
        .collect();
    bytes.push(0);
    if negative {
        let mut carry = true;
        for byte in &mut bytes {
            (*byte, carry) = (!*byte).overflowing_add(carry.into());
        }
    }
    bytes
}

/// An integer from little-endian two's complement, as in LONG1 and LONG4 (no bytes at all: 0). The bytes of
/// [`Value::BigInt`] are the shortest that hold it.
pub(super) fn integer(bytes: &[u8]) -> Value {
    let significant = significant_bytes(bytes);
    if significant.len() > 8 {
        return Value::BigInt(significant.to_vec());
    }
    let negative = significant.last().is_some_and(|&b| b >= 0x80);
    let mut wide = [if negative { 0xff } else { 0 }; 8];
    wide[..significant.len()].copy_from_slice(significant);
    Value::Int(i64::from_le_bytes(wide))
}

/// Without the bytes at the end that only repeat the sign.
fn significant_bytes(bytes: &[u8]) -> &[u8] {
    let mut bytes = bytes;
    while let [head @ .., last] = bytes {
        let sign_before = head.last().is_some_and(|&b| b >= 0x80);
        match (last, sign_before) {
            (0, false) | (0xff, true) => bytes = head,
            _ => break,
        }
    }
    bytes
}

/// An integral float as [`integer`] would hold it, so that `1e30` and `10**30` make one key as in Python.
pub(super) fn integer_of_float(float: f64) -> Option<Value> {
    if !float.is_finite() || float.fract() != 0.0 {
        return None;
    }
    let bits = float.abs().to_bits();
    let exponent = usize::try_from(bits >> 52).unwrap_or(0).checked_sub(1075);
    let Some(shift) = exponent else {
        return Some(Value::Int(float as i64)); // below 2^53: exact
    };
    let mantissa = (bits & ((1 << 52) - 1)) | 1 << 52;
    let mut limbs = vec![0u64; shift / 64];
    let wide = u128::from(mantissa) << (shift % 64);
    limbs.extend([wide as u64, (wide >> 64) as u64]);
    Some(integer(&twos_complement(&limbs, float < 0.0)))
}

/// The argument of STRING: quoted, with the escapes of a Python 2 `str`.
pub(super) fn string_line(line: &[u8]) -> Literal<Vec<u8>> {
    match line {
        [b'\'', text @ .., b'\''] | [b'"', text @ .., b'"'] => unescape(text),
        _ => Err(format!("{} is not in quotes", shown(line))),
    }
}

fn unescape(text: &[u8]) -> Literal<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        if *byte != b'\\' {
            out.push(*byte);
            rest = after;
            continue;
        }
        let [escape, after @ ..] = after else {
            return Err("a backslash at the end of the text".to_owned());
        };
        rest = after;
        match escape {
            b'\\' | b'\'' | b'"' => out.push(*escape),
            b'a' => out.push(7),
            b'b' => out.push(8),
            b't' => out.push(b'\t'),
            b'n' => out.push(b'\n'),
            b'v' => out.push(11),
            b'f' => out.push(12),
            b'r' => out.push(b'\r'),
            b'0'..=b'7' => {
                let n = 1 + after
                    .iter()
                    .take(2)
                    .take_while(|b| (b'0'..=b'7').contains(b))
                    .count();
                let octal = text_number(&text[text.len() - after.len() - 1..][..n], 8);
                out.push(octal as u8); // `\777` wraps, as in Python
                rest = &after[n - 1..];
            }
            b'x' => {
                let digits = after
                    .get(..2)
                    .filter(|d| d.iter().all(u8::is_ascii_hexdigit));
                let digits = digits.ok_or("a \\x escape needs two hexadecimal digits")?;
                out.push(text_number(digits, 16) as u8);
                rest = &after[2..];
            }
            _ => out.extend([b'\\', *escape]), // unknown escapes stand for themselves
        }
    }
    Ok(out)
}

fn text_number(digits: &[u8], radix: u32) -> u32 {
    digits.iter().fold(0, |n, &d| {
        n * radix + char::from(d).to_digit(radix).unwrap_or(0)
    })
}

/// The argument of UNICODE: Latin-1 with `\uXXXX` and `\UXXXXXXXX` (Python's raw-unicode-escape), as UTF-8.
/// Surrogate pairs, which narrow builds of Python 2 wrote, are joined; a lone surrogate keeps its three bytes.
pub(super) fn raw_unicode_escape(line: &[u8]) -> Literal<Vec<u8>> {
    let mut out = Vec::with_capacity(line.len());
    let mut high: Option<u32> = None;
    let mut rest = line;
    while let [byte, after @ ..] = rest {
        let (code, next) = match (byte, after) {
            (b'\\', [width @ (b'u' | b'U'), digits @ ..]) => {
                let n = if *width == b'u' { 4 } else { 8 };
                let hex = digits
                    .get(..n)
                    .filter(|d| d.iter().all(u8::is_ascii_hexdigit));
                let hex = hex.ok_or_else(|| {
                    format!(
                        "a \\{} escape needs {n} hexadecimal digits",
                        char::from(*width)
                    )
                })?;
                (text_number(hex, 16), &digits[n..])
            }
            // the character after a backslash is plain, so that `\\u0041` is a backslash and `\u0041`... spelled out
            (b'\\', [plain, more @ ..]) => {
                push_code(&mut out, &mut high, b'\\'.into())?;
                (u32::from(*plain), more)
            }
            _ => (u32::from(*byte), after),
        };
        push_code(&mut out, &mut high, code)?;
        rest = next;
    }
    flush_surrogate(&mut out, &mut high);
    Ok(out)
}

fn push_code(out: &mut Vec<u8>, high: &mut Option<u32>, code: u32) -> Literal<()> {
    if let (Some(first), 0xdc00..=0xdfff) = (*high, code) {
        *high = None;
        let joined = 0x10000 + ((first - 0xd800) << 10) + (code - 0xdc00);
        return push_char(out, joined);
    }
    flush_surrogate(out, high);
    match code {
        0xd800..=0xdbff => *high = Some(code),
        0xdc00..=0xdfff => push_surrogate(out, code),
        _ => push_char(out, code)?,
    }
    Ok(())
}

fn push_char(out: &mut Vec<u8>, code: u32) -> Literal<()> {
    let c = char::from_u32(code).ok_or_else(|| format!("U+{code:X} is beyond Unicode"))?;
    out.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(())
}

fn flush_surrogate(out: &mut Vec<u8>, high: &mut Option<u32>) {
    if let Some(code) = high.take() {
        push_surrogate(out, code);
    }
}

/// Three bytes, as UTF-8 would have them if it allowed surrogates (Python's `surrogatepass`).
fn push_surrogate(out: &mut Vec<u8>, code: u32) {
    out.extend([
        0xe0 | (code >> 12) as u8,
        0x80 | (code >> 6 & 0x3f) as u8,
        0x80 | (code & 0x3f) as u8,
    ]);
}

/// Whether `bytes` are UTF-8 but for surrogates: text that Python can hold and a Rust string cannot.
pub(super) fn is_text_with_surrogates(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    loop {
        let Err(error) = std::str::from_utf8(rest) else {
            return true;
        };
        match &rest[error.valid_up_to()..] {
            [0xed, 0xa0..=0xbf, 0x80..=0xbf, more @ ..] => rest = more,
            _ => return false,
        }
    }
}

/// `line` as an error message can show it: in quotes, escaped, cut short.
pub(super) fn shown(line: &[u8]) -> String {
    let cut = &line[..line.len().min(40)];
    let dots = if cut.len() < line.len() { "..." } else { "" };
    format!("\"{}{dots}\"", cut.escape_ascii())
}
