//! Values as managers keep them become JSON on one line.

use super::types::{Type, Variant};

/// Deeper values could use up the stack.
const MAX_DEPTH: usize = 512;
/// Values without bytes, such as a billion of `()`, would otherwise be text without end.
const MAX_JSON_BYTES: usize = 256 << 20;

/// Returns the JSON of an encoded value.
///
/// # Errors
/// It is no value of the type, or its JSON is too deep or too long.
pub(crate) fn json(of: &Type, bytes: &[u8]) -> Result<String, String> {
    json_within(MAX_JSON_BYTES, of, bytes)
}

fn json_within(room: usize, of: &Type, bytes: &[u8]) -> Result<String, String> {
    let mut left = bytes;
    let mut levels = Levels::default();
    let mut out = Text::new(room);
    match decode(of, &mut left, &mut levels, &mut out) {
        Some(()) if left.is_empty() && out.has_room() => Ok(out.json),
        _ if !out.has_room() => Err(format!("its JSON is longer than {} MiB", room >> 20)),
        _ if levels.were_too_deep => Err(format!("it is deeper than {MAX_DEPTH} levels")),
        _ => Err("the value is not what its description says".to_owned()),
    }
}

/// The types around a value.
#[derive(Default)]
struct Levels<'a> {
    types: Vec<&'a Type>,
    /// How many calls are under way, also of types that are no levels.
    depth: usize,
    were_too_deep: bool,
}

/// What has been written, and how much more may be.
struct Text {
    json: String,
    room: usize,
}

impl Text {
    fn new(room: usize) -> Text {
        let json = String::new();
        Text { json, room }
    }

    fn push_str(&mut self, text: &str) {
        self.room = self.room.saturating_sub(text.len());
        if self.has_room() {
            self.json.push_str(text);
        }
    }

    fn push(&mut self, letter: char) {
        self.push_str(letter.encode_utf8(&mut [0; 4]));
    }

    fn has_room(&self) -> bool {
        self.room > 0
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
    levels: &mut Levels<'a>,
    out: &mut Text,
) -> Option<()> {
    levels.were_too_deep |= levels.depth == MAX_DEPTH;
    if levels.were_too_deep || !out.has_room() {
        return None;
    }
    levels.depth += 1;
    let outcome = match of {
        Type::Recursion(up) => decode_outer(*up, left, levels, out),
        of if of.is_level() => {
            levels.types.push(of);
            let outcome = decode_parts(of, left, levels, out);
            levels.types.pop();
            outcome
        }
        of => decode_parts(of, left, levels, out),
    };
    levels.depth -= 1;
    outcome
}

/// A value of the type that is `up` levels outside.
fn decode_outer<'a>(
    up: usize,
    left: &mut &[u8],
    levels: &mut Levels<'a>,
    out: &mut Text,
) -> Option<()> {
    let at = levels.types.len().checked_sub(up)?;
    let of = *levels.types.get(at)?;
    let inside = levels.types.split_off(at);
    let outcome = decode(of, left, levels, out);
    levels.types.extend(inside);
    outcome
}

/// Numbers that readers of JSON may round are strings.
fn number(text: &str, is_small: bool, out: &mut Text) {
    match is_small {
        true => out.push_str(text),
        false => out.push_str(&quoted(text)),
    }
}

fn decode_parts<'a>(
    of: &'a Type,
    left: &mut &[u8],
    levels: &mut Levels<'a>,
    out: &mut Text,
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
    levels: &mut Levels<'a>,
    out: &mut Text,
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
    levels: &mut Levels<'a>,
    out: &mut Text,
) -> Option<()> {
    out.push('{');
    for index in 0..length(left)? {
        out.push_str(if index > 0 { "," } else { "" });
        let mut text = Text::new(out.room);
        let outcome = decode(key, left, levels, &mut text);
        // Quotes within quotes double the text at each level.
        out.room = text.room;
        outcome?;
        match text.json.starts_with('"') {
            true => out.push_str(&text.json),
            false => out.push_str(&quoted(&text.json)),
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
    levels: &mut Levels<'a>,
    out: &mut Text,
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
    levels: &mut Levels<'a>,
    out: &mut Text,
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
    fn values_without_end_are_refused() {
        let many = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        let decoded =
            |of: &str, bytes: &[u8]| json_within(1 << 20, &Type::parse(of).unwrap(), bytes);
        for (of, bytes) in [
            ("[()]", &many[..]),
            ("(() × 1000000000000)", &[]),
            ("[{a: (), b: {}}]", &many),
            ("[[Nothing]]", &[&[1], &many[..]].concat()),
        ] {
            let said = decoded(of, bytes).unwrap_err();
            assert_eq!(said, "its JSON is longer than 1 MiB", "{of}");
        }
        // Each level of the first takes a byte, the others take none.
        for (of, bytes) in [
            ("{next: ^1?}", &[1; 100_000][..]),
            ("Node(^1)", &[]),
            ("{a: ^1, b: ^1}", &[]),
            ("<A(^1)>", &[0; 100_000]),
            ("{a: [^1]}", &[2; 100_000]),
            ("{a: {^1 => ()}}", &[1; 100_000]),
        ] {
            let said = decoded(of, bytes).unwrap_err();
            assert_eq!(said, "it is deeper than 512 levels", "{of}");
        }
        // A level that there is not.
        for of in ["^0", "^1", "^18446744073709551615", "{a: ^0}", "{a: ^2}"] {
            assert!(decoded(of, &[]).is_err(), "{of}");
            assert!(argument(&Type::parse(of).unwrap(), "{\"a\":1}").is_err());
        }
        let endless = argument(&Type::parse("Node(^1)").unwrap(), "1");
        assert_eq!(endless.unwrap_err(), "a type without end");
        let tree = Type::parse("Node([^1])").unwrap();
        let encoded = argument(&tree, "[[],[[]]]").unwrap();
        assert_eq!(json(&tree, &encoded).unwrap(), "[[],[[]]]");
        // What is deep, and ends.
        let mut deep = vec![1; 100];
        deep.push(0);
        assert_eq!(decoded("{next: ^1?}", &deep).unwrap().len(), 101 * 9 + 4);
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
