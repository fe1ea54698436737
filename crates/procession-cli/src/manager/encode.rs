//! JSON becomes values as managers keep them: the bytes that [postcard](https://postcard.jamesmunns.com/wire-format) makes of the type.

use super::types::{Type, Variant};
use serde_json::Value;

/// The value of a type that an argument of the command line stands for.
///
/// # Errors
/// It is none, and why.
pub(crate) fn argument(of: &Type, text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let value = match of {
        Type::Json => {
            let checked = serde_json::from_str::<serde::de::IgnoredAny>(text);
            checked.map_err(|error| no_json(text, &error))?;
            bytes(text.as_bytes(), &mut out);
            return Ok(out);
        }
        of if of.is_text() => Value::String(text.to_owned()),
        _ => serde_json::from_str(text).map_err(|error| no_json(text, &error))?,
    };
    encode(of, &value, &mut Vec::new(), &mut out)?;
    Ok(out)
}

fn no_json(text: &str, error: &serde_json::Error) -> String {
    format!("{text:?} is no JSON: {error}")
}

fn varint(mut number: u128, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn bytes(bytes: &[u8], out: &mut Vec<u8>) {
    varint(bytes.len() as u128, out);
    out.extend_from_slice(bytes);
}

/// Adds the encoding of a value. `levels` are the types that it is in.
pub(crate) fn encode<'a>(
    of: &'a Type,
    value: &Value,
    levels: &mut Vec<&'a Type>,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    if let Type::Recursion(up) = of {
        let at = levels.len().checked_sub(*up).ok_or("an unknown type")?;
        let outer = *levels.get(at).ok_or("an unknown type")?;
        if is_endless(outer) {
            return Err("a type without end".to_owned());
        }
        let mut outside = levels[..at].to_vec();
        return encode(outer, value, &mut outside, out);
    }
    if of.is_level() {
        levels.push(of);
    }
    let outcome = encode_parts(of, value, levels, out);
    if of.is_level() {
        levels.pop();
    }
    outcome
}

/// Returns `true` if each value of the type is within another one, without JSON around it that could end.
fn is_endless(of: &Type) -> bool {
    match of {
        Type::Newtype(inner) | Type::Option(inner) => is_endless(inner),
        Type::Recursion(_) => true,
        _ => false,
    }
}

fn encode_parts<'a>(
    of: &'a Type,
    value: &Value,
    levels: &mut Vec<&'a Type>,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let wrong = |wanted: &str| format!("{value} is not {wanted}");
    match of {
        Type::Bool => out.push(
            value
                .as_bool()
                .ok_or_else(|| wrong("true or false"))?
                .into(),
        ),
        Type::Unsigned(bits) => {
            let number = whole(value).and_then(|number| u128::try_from(number).ok());
            // The largest of 128 bits are no i128.
            let number = number.or_else(|| value.as_str()?.parse().ok());
            let number = number.filter(|number| *bits == 128 || number >> bits == 0);
            let number = number.ok_or_else(|| wrong(&format!("a number of the type u{bits}")))?;
            match bits {
                8 => out.push(number as u8),
                _ => varint(number, out),
            }
        }
        Type::Signed(bits) => {
            let number = whole(value).filter(|number| {
                let sign = number >> (bits - 1);
                sign == 0 || sign == -1
            });
            let number = number.ok_or_else(|| wrong(&format!("a number of the type i{bits}")))?;
            match bits {
                8 => out.push(number as u8),
                _ => varint(((number << 1) ^ (number >> 127)).cast_unsigned(), out),
            }
        }
        Type::F32 => {
            let number = value.as_f64().ok_or_else(|| wrong("a number"))?;
            out.extend_from_slice(&(number as f32).to_le_bytes());
        }
        Type::F64 => {
            let number = value.as_f64().ok_or_else(|| wrong("a number"))?;
            out.extend_from_slice(&number.to_le_bytes());
        }
        Type::Char => {
            let text = value.as_str().filter(|text| text.chars().count() == 1);
            bytes(text.ok_or_else(|| wrong("one letter"))?.as_bytes(), out);
        }
        Type::Str => bytes(
            value.as_str().ok_or_else(|| wrong("a string"))?.as_bytes(),
            out,
        ),
        Type::Json => bytes(value.to_string().as_bytes(), out),
        Type::Bytes => {
            let items = value.as_array().ok_or_else(|| wrong("an array of bytes"))?;
            varint(items.len() as u128, out);
            for item in items {
                encode(&Type::Unsigned(8), item, &mut Vec::new(), out)?;
            }
        }
        Type::Unit => match value {
            Value::Null => {}
            _ => return Err(wrong("null")),
        },
        Type::Option(inner) => match value {
            Value::Null => out.push(0),
            value => {
                out.push(1);
                encode(inner, value, levels, out)?;
            }
        },
        Type::Sequence(inner) => {
            let items = value.as_array().ok_or_else(|| wrong("an array"))?;
            varint(items.len() as u128, out);
            for item in items {
                encode(inner, item, levels, out)?;
            }
        }
        Type::Map(parts) => {
            let entries = value.as_object().ok_or_else(|| wrong("an object"))?;
            varint(entries.len() as u128, out);
            for (key, value) in entries {
                let key = match parts.0.is_text() {
                    true => Value::String(key.clone()),
                    false => serde_json::from_str(key).map_err(|error| no_json(key, &error))?,
                };
                encode(&parts.0, &key, levels, out)?;
                encode(&parts.1, value, levels, out)?;
            }
        }
        Type::Newtype(inner) => encode(inner, value, levels, out)?,
        Type::Tuple(parts) | Type::TupleStruct(parts) => tuple(parts, value, levels, out)?,
        Type::Struct(fields) => structure(fields, value, levels, out)?,
        Type::Enum(variants) => {
            let (name, content) = match value {
                Value::String(name) => (name, &Value::Null),
                Value::Object(map) if map.len() == 1 => {
                    map.iter().next().ok_or_else(|| wrong("a variant"))?
                }
                _ => return Err(wrong("a variant: \"Name\" or {\"Name\": content}")),
            };
            let number = variants.iter().position(|(known, _)| known == name);
            let number = number.ok_or_else(|| {
                let names: Vec<&str> = variants.iter().map(|(name, _)| &**name).collect();
                format!(
                    "there is no variant {name:?}; there are {}",
                    names.join(", ")
                )
            })?;
            varint(number as u128, out);
            match &variants[number].1 {
                Variant::Unit => encode(&Type::Unit, content, levels, out)?,
                Variant::Newtype(inner) => encode(inner, content, levels, out)?,
                Variant::Tuple(parts) => tuple(parts, content, levels, out)?,
                Variant::Struct(fields) => structure(fields, content, levels, out)?,
            }
        }
        Type::Recursion(_) => return Err("an unknown type".to_owned()),
    }
    Ok(())
}

fn whole(value: &Value) -> Option<i128> {
    match value {
        Value::Number(number) => number
            .as_i64()
            .map(i128::from)
            .or_else(|| number.as_u64().map(i128::from)),
        // More than JSON's readers can be trusted with.
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn tuple<'a>(
    parts: &'a [(Type, usize)],
    value: &Value,
    levels: &mut Vec<&'a Type>,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let counts = parts.iter().map(|(_, count)| *count);
    let length = counts.fold(0, usize::saturating_add);
    let items = value.as_array().filter(|items| items.len() == length);
    let items = items.ok_or_else(|| format!("{value} is not an array of {length} values"))?;
    let types = parts
        .iter()
        .flat_map(|(part, count)| std::iter::repeat_n(part, *count));
    for (part, item) in types.zip(items) {
        encode(part, item, levels, out)?;
    }
    Ok(())
}

fn structure<'a>(
    fields: &'a [(String, Type)],
    value: &Value,
    levels: &mut Vec<&'a Type>,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let names = || {
        let names: Vec<&str> = fields.iter().map(|(name, _)| &**name).collect();
        names.join(", ")
    };
    let map = value.as_object();
    let map = map.ok_or_else(|| format!("{value} is not an object with {}", names()))?;
    if let Some(other) = map
        .keys()
        .find(|key| !fields.iter().any(|(name, _)| name == *key))
    {
        return Err(format!(
            "there is no field {other:?}; there are {}",
            names()
        ));
    }
    for (name, of) in fields {
        match (map.get(name), of) {
            (Some(value), of) => encode(of, value, levels, out)?,
            (None, Type::Option(_)) => out.push(0),
            (None, _) => return Err(format!("{value} lacks the field {name:?}")),
        }
    }
    Ok(())
}
