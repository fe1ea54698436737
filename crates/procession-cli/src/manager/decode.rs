//! Values as managers keep them become JSON on one line.

use super::types::{Type, Variant};

/// Returns the JSON of an encoded value.
///
/// # Errors
/// It is no value of the type.
pub(crate) fn json(of: &Type, bytes: &[u8]) -> Result<String, String> {
    let mut left = bytes;
    let mut out = String::new();
    match decode(of, &mut left, &mut Vec::new(), &mut out) {
        Some(()) if left.is_empty() => Ok(out),
        _ => Err("the value is not what its description says".to_owned()),
    }
}

/// A string as JSON.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn take<'b>(left: &mut &'b [u8], count: usize) -> Option<&'b [u8]> {
    let (taken, rest) = left.split_at_checked(count)?;
    *left = rest;
    Some(taken)
}

fn varint(left: &mut &[u8]) -> Option<u128> {
    let mut number = 0_u128;
    for shift in (0..128).step_by(7) {
        let byte = take(left, 1)?[0];
        number |= u128::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn length(left: &mut &[u8]) -> Option<usize> {
    usize::try_from(varint(left)?).ok()
}

fn text<'b>(left: &mut &'b [u8]) -> Option<&'b str> {
    let length = length(left)?;
    std::str::from_utf8(take(left, length)?).ok()
}

fn decode<'a>(
    of: &'a Type,
    left: &mut &[u8],
    levels: &mut Vec<&'a Type>,
    out: &mut String,
) -> Option<()> {
    if let Type::Recursion(up) = of {
        let at = levels.len().checked_sub(*up)?;
        let mut outside = levels[..at].to_vec();
        return decode(levels[at], left, &mut outside, out);
    }
    if of.is_level() {
        levels.push(of);
    }
    let outcome = decode_parts(of, left, levels, out);
    if of.is_level() {
        levels.pop();
    }
    outcome
}

/// Numbers that readers of JSON may round are strings.
fn number(text: &str, is_small: bool, out: &mut String) {
    match is_small {
        true => out.push_str(text),
        false => out.push_str(&quoted(text)),
    }
}

fn decode_parts<'a>(
    of: &'a Type,
    left: &mut &[u8],
    levels: &mut Vec<&'a Type>,
    out: &mut String,
) -> Option<()> {
    match of {
        Type::Bool => out.push_str(match take(left, 1)? {
            [0] => "false",
            [1] => "true",
            _ => return None,
        }),
        Type::Unsigned(8) => out.push_str(&take(left, 1)?[0].to_string()),
        Type::Signed(8) => out.push_str(&take(left, 1)?[0].cast_signed().to_string()),
        Type::Unsigned(_) => {
            let value = varint(left)?;
            number(&value.to_string(), u64::try_from(value).is_ok(), out);
        }
        Type::Signed(_) => {
            let value = varint(left)?;
            let value = (value >> 1).cast_signed() ^ -(value & 1).cast_signed();
            number(&value.to_string(), i64::try_from(value).is_ok(), out);
        }
        Type::F32 => {
            let value = f32::from_le_bytes(take(left, 4)?.try_into().ok()?);
            out.push_str(&serde_json::to_string(&value).ok()?);
        }
        Type::F64 => {
            let value = f64::from_le_bytes(take(left, 8)?.try_into().ok()?);
            out.push_str(&serde_json::to_string(&value).ok()?);
        }
        Type::Char | Type::Str => out.push_str(&quoted(text(left)?)),
        Type::Json => {
            let text = text(left)?;
            match serde_json::from_str::<serde::de::IgnoredAny>(text) {
                // Outside of strings, where alone they can be, ends of lines are white space.
                Ok(_) => out.push_str(&text.replace(['\n', '\r'], " ")),
                Err(_) => out.push_str(&quoted(text)),
            }
        }
        Type::Bytes => sequence(&Type::Unsigned(8), left, levels, out)?,
        Type::Unit => out.push_str("null"),
        Type::Option(inner) => match take(left, 1)? {
            [0] => out.push_str("null"),
            [1] => decode(inner, left, levels, out)?,
            _ => return None,
        },
        Type::Sequence(inner) => sequence(inner, left, levels, out)?,
        Type::Map(parts) => map(&parts.0, &parts.1, left, levels, out)?,
        Type::Newtype(inner) => decode(inner, left, levels, out)?,
        Type::Tuple(parts) | Type::TupleStruct(parts) => tuple(parts, left, levels, out)?,
        Type::Struct(fields) => structure(fields, left, levels, out)?,
        Type::Enum(variants) => {
            let (name, variant) = variants.get(length(left)?)?;
            if *variant == Variant::Unit {
                out.push_str(&quoted(name));
                return Some(());
            }
            out.push('{');
            out.push_str(&quoted(name));
            out.push(':');
            match variant {
                Variant::Unit => {}
                Variant::Newtype(inner) => decode(inner, left, levels, out)?,
                Variant::Tuple(parts) => tuple(parts, left, levels, out)?,
                Variant::Struct(fields) => structure(fields, left, levels, out)?,
            }
            out.push('}');
        }
        Type::Recursion(_) => return None,
    }
    Some(())
}

fn sequence<'a>(
    of: &'a Type,
    left: &mut &[u8],
    levels: &mut Vec<&'a Type>,
    out: &mut String,
) -> Option<()> {
    out.push('[');
    for index in 0..length(left)? {
        out.push_str(if index > 0 { "," } else { "" });
        decode(of, left, levels, out)?;
    }
    out.push(']');
    Some(())
}

fn map<'a>(
    key: &'a Type,
    value: &'a Type,
    left: &mut &[u8],
    levels: &mut Vec<&'a Type>,
    out: &mut String,
) -> Option<()> {
    out.push('{');
    for index in 0..length(left)? {
        out.push_str(if index > 0 { "," } else { "" });
        let mut text = String::new();
        decode(key, left, levels, &mut text)?;
        match text.starts_with('"') {
            true => out.push_str(&text),
            false => out.push_str(&quoted(&text)),
        }
        out.push(':');
        decode(value, left, levels, out)?;
    }
    out.push('}');
    Some(())
}

fn tuple<'a>(
    parts: &'a [(Type, usize)],
    left: &mut &[u8],
    levels: &mut Vec<&'a Type>,
    out: &mut String,
) -> Option<()> {
    out.push('[');
    let types = parts
        .iter()
        .flat_map(|(part, count)| std::iter::repeat_n(part, *count));
    for (index, part) in types.enumerate() {
        out.push_str(if index > 0 { "," } else { "" });
        decode(part, left, levels, out)?;
    }
    out.push(']');
    Some(())
}

fn structure<'a>(
    fields: &'a [(String, Type)],
    left: &mut &[u8],
    levels: &mut Vec<&'a Type>,
    out: &mut String,
) -> Option<()> {
    out.push('{');
    for (index, (name, of)) in fields.iter().enumerate() {
        out.push_str(if index > 0 { "," } else { "" });
        out.push_str(&quoted(name));
        out.push(':');
        decode(of, left, levels, out)?;
    }
    out.push('}');
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::encode::argument;
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        let job = "{id: u64, name: str, at: (f64 × 2)?, tags: [str]}";
        for (of, text) in [
            ("bool", "true"),
            ("u8", "255"),
            ("i8", "-128"),
            ("u16", "300"),
            ("i64", "-9223372036854775808"),
            ("u64", "18446744073709551615"),
            ("u128", "\"340282366920938463463374607431768211455\""),
            ("i128", "\"-170141183460469231731687303715884105728\""),
            ("f64", "1.5"),
            ("()", "null"),
            ("u8??", "null"),
            ("bytes", "[1,2]"),
            (job, r#"{"id":1,"name":"a\nb","at":[0.0,1.0],"tags":["x"]}"#),
            (
                "<Stop | Work(u64) | Both(u8, i32) | Move{by: i32}>",
                r#""Stop""#,
            ),
            (
                "<Stop | Work(u64) | Both(u8, i32) | Move{by: i32}>",
                r#"{"Both":[1,-2]}"#,
            ),
            (
                "<Stop | Work(u64) | Both(u8, i32) | Move{by: i32}>",
                r#"{"Move":{"by":7}}"#,
            ),
            ("{str => u8}", r#"{"a":1,"b":2}"#),
            ("{u32 => u8}", r#"{"7":1}"#),
            (
                "{value: u8, next: ^1?}",
                r#"{"value":1,"next":{"value":2,"next":null}}"#,
            ),
            ("Json(str)", r#"{"any": [1e999]}"#),
        ] {
            let of_text = Type::parse(of).unwrap();
            let bytes = argument(&of_text, text).unwrap();
            assert_eq!(json(&of_text, &bytes).as_deref(), Ok(text), "{of}");
        }
        // What is text is no JSON on the command line.
        let text = Type::parse("str").unwrap();
        assert_eq!(
            json(&text, &argument(&text, "7 \"").unwrap()).unwrap(),
            r#""7 \"""#
        );
    }

    #[test]
    fn what_is_no_value_is_told() {
        for (of, text, said) in [
            ("u8", "256", "256 is not a number of the type u8"),
            ("i8", "128", "128 is not a number of the type i8"),
            ("u32", "-1", "-1 is not a number of the type u32"),
            (
                "u32",
                "tea",
                "\"tea\" is no JSON: expected ident at line 1 column 2",
            ),
            ("{a: u8}", "{}", "{} lacks the field \"a\""),
            (
                "{a: u8}",
                r#"{"a":1,"b":2}"#,
                "there is no field \"b\"; there are a",
            ),
            (
                "<A | B>",
                "\"C\"",
                "there is no variant \"C\"; there are A, B",
            ),
            ("(u8 × 2)", "[1]", "[1] is not an array of 2 values"),
        ] {
            let of = Type::parse(of).unwrap();
            assert_eq!(argument(&of, text).unwrap_err(), said);
        }
        assert!(json(&Type::Str, &[5, b'a']).is_err());
        assert!(json(&Type::Bool, &[1, 1]).is_err());
    }
}
