//! Objects as a tool sees them that knows no types of the program that made them: values as they are encoded, and what they
//! look like as text.

use super::blob;
use super::manager::{ManagedObject, Manager};
use super::objects::{Initial, ObjectKind, Shape};
use super::proxy::shape;
use super::user::{CallError, UserProxy};
use super::{Dict, List, Queue, Set, Value};
use crate::queue::Schema;
use crate::{Error, ErrorKind, Result};
use serde::de::{SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::time::Duration;

/// A value of whatever type, as it is encoded.
///
/// It is read up to the end of what is there: a manager keeps each value by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded(pub Vec<u8>);

impl Encoded {
    /// Encodes a value.
    ///
    /// # Errors
    /// The value cannot be encoded.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Encoded> {
        blob::encode(value).map(Encoded)
    }
}

impl Serialize for Encoded {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        // A tuple has no length before it, and bytes are encoded as what they are.
        let mut bytes = serializer.serialize_tuple(self.0.len())?;
        for byte in &self.0 {
            bytes.serialize_element(byte)?;
        }
        bytes.end()
    }
}

struct AllBytes;

impl<'de> Visitor<'de> for AllBytes {
    type Value = Encoded;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut left: A) -> std::result::Result<Encoded, A::Error> {
        let mut bytes = Vec::new();
        // The error is the end of what is there.
        while let Ok(Some(byte)) = left.next_element() {
            bytes.push(byte);
        }
        Ok(Encoded(bytes))
    }
}

impl<'de> Deserialize<'de> for Encoded {
    fn deserialize<D: Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<Encoded, D::Error> {
        deserializer.deserialize_tuple(usize::MAX, AllBytes)
    }
}

/// An object with a name, as its manager describes it.
#[derive(Clone, Debug)]
pub struct Described {
    /// By which programs find it.
    pub name: String,
    /// Such as `dictionary`; of an object of a user's type, the name of that.
    pub kind: String,
    /// It is of a user's type.
    pub is_users: bool,
    /// For people.
    pub text: String,
    /// What its values look like; `None` if that is too long to be told.
    pub types: Option<Vec<String>>,
    /// Of an object of a user's type.
    pub methods: Vec<DescribedMethod>,
    shape: Shape,
}

/// A method of an object of a user's type.
#[derive(Clone, Debug)]
pub struct DescribedMethod {
    /// As the trait has it.
    pub name: String,
    /// For people.
    pub text: String,
    /// What its arguments, as a tuple, and its result look like; `None` if that is too long to be told.
    pub types: Option<(String, String)>,
}

impl Described {
    fn of(name: String, shape: Shape) -> Described {
        let is_users = shape.kind == ObjectKind::User;
        let (kind, types) = match shape.text.split_once(" of ") {
            Some((kind, types)) => (kind.to_owned(), listed(types, " and ")),
            None => (shape.text.replace('`', ""), Some(Vec::new())),
        };
        let methods = shape.methods.iter().map(|method| DescribedMethod {
            name: method.name.clone(),
            text: method.text.clone(),
            types: listed(&method.text, " → ").and_then(|types| {
                let [arguments, result] = <[String; 2]>::try_from(types).ok()?;
                Some((arguments, result))
            }),
        });
        Described {
            name,
            kind,
            is_users,
            text: shape.text.clone(),
            types,
            methods: methods.collect(),
            shape,
        }
    }
}

/// The shapes in a list of schemas as they are [described](Schema::describe).
fn listed(mut text: &str, separator: &str) -> Option<Vec<String>> {
    let mut shapes = Vec::new();
    loop {
        let (shape, rest) = Schema::described(text)?;
        shapes.push(shape.to_owned());
        match rest.strip_prefix(separator) {
            Some(rest) => text = rest,
            None => return rest.is_empty().then_some(shapes),
        }
    }
}

/// Returns what all objects with names are.
///
/// # Errors
/// The manager has ended.
pub fn describe(manager: &Manager) -> Result<Vec<Described>> {
    let shapes = manager.shapes()?.into_iter();
    Ok(shapes
        .map(|(name, shape)| Described::of(name, shape))
        .collect())
}

/// Returns the object that was described. The caller sees to it that `T` is of its kind.
///
/// # Errors
/// It is not there any more.
pub fn get<T: ManagedObject>(manager: &Manager, described: &Described) -> Result<T> {
    let shape = described.shape.clone();
    manager.get_as(&described.name, shape).map(T::of)
}

/// Calls a method of an object of a user's type, with a tuple of arguments.
///
/// # Errors
/// See [`CallError`].
pub fn call(
    manager: &Manager,
    described: &Described,
    method: &str,
    arguments: &Encoded,
    timeout: Option<Duration>,
) -> std::result::Result<Encoded, CallError> {
    let proxy = manager.get_as(&described.name, described.shape.clone())?;
    let proxy = UserProxy::new(proxy);
    match timeout {
        Some(timeout) => proxy.limited(timeout).call(method, arguments),
        None => proxy.call(method, arguments),
    }
}

/// Creates an object of a kind of which the values look like `types`.
///
/// # Errors
/// [`InvalidInput`](ErrorKind::InvalidInput): objects of this kind are not created so. The manager has ended.
pub fn create(manager: &Manager, name: &str, kind: &str, types: &[String]) -> Result<()> {
    let schemas: Vec<Schema> = types.iter().map(|text| Schema::of_text(text)).collect();
    let shape = |kind, what| shape(kind, what, &schemas);
    let made = |kind, what, initial| manager.create(shape(kind, what), initial);
    match (kind, types.len()) {
        ("dict", 2) => {
            let proxy = made(ObjectKind::Dict, "dictionary", Initial::Empty)?;
            register(manager, name, &Dict::<Encoded, Encoded>::of(proxy))
        }
        ("list", 1) => {
            let proxy = made(ObjectKind::List, "list", Initial::Empty)?;
            register(manager, name, &List::<Encoded>::of(proxy))
        }
        ("set", 1) => {
            let proxy = made(ObjectKind::Set, "set", Initial::Empty)?;
            register(manager, name, &Set::<Encoded>::of(proxy))
        }
        ("queue", 1) => {
            let proxy = made(ObjectKind::Queue, "queue", Initial::Capacity(u64::MAX))?;
            register(manager, name, &Queue::<Encoded>::of(proxy))
        }
        ("counter", 0) => register(manager, name, &manager.counter(0)?),
        ("event", 0) => register(manager, name, &manager.event()?),
        _ => Err(Error::new(
            ErrorKind::InvalidInput,
            "creating object of manager",
            name,
        )),
    }
}

/// Creates a value that begins as `initial`.
///
/// # Errors
/// The manager has ended.
pub fn create_value(
    manager: &Manager,
    name: &str,
    type_text: &str,
    initial: &Encoded,
) -> Result<()> {
    let shape = shape(ObjectKind::Value, "value", &[Schema::of_text(type_text)]);
    let proxy = manager.create(shape, super::manager::initial(initial)?)?;
    register(manager, name, &Value::<Encoded>::of(proxy))
}

/// Gives the object the name; if somebody else was faster, theirs has it.
fn register(manager: &Manager, name: &str, object: &impl ManagedObject) -> Result<()> {
    match manager.register(name, object) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manager::proxy::schema_of;
    use std::collections::BTreeMap;

    type Nested = (BTreeMap<String, Option<u8>>, std::result::Result<u64, ()>);

    #[test]
    fn a_description_tells_what_values_look_like() {
        let texts = |shape: Shape| Described::of("x".to_owned(), shape).types;
        let schemas = [schema_of::<Nested>().unwrap(), schema_of::<u32>().unwrap()];
        assert_eq!(
            texts(shape(ObjectKind::Dict, "dictionary", &schemas)).unwrap(),
            ["({str => u8?}, <Ok(u64) | Err(())>)", "u32"]
        );
        assert_eq!(
            texts(shape(ObjectKind::Event, "event", &[])).unwrap(),
            [""; 0]
        );
        type Long =
            std::collections::BTreeMap<(Nested, Nested), (Nested, u8, Nested, u16, Nested, u32)>;
        type Longer = (Long, u8, Long, u16, Long, u32, Long, u64, Long);
        let longer = [schema_of::<Longer>().unwrap()];
        assert_eq!(texts(shape(ObjectKind::List, "list", &longer)), None);
    }

    #[test]
    fn a_type_made_of_its_text_is_that_type() {
        let (by_text, by_type) = (
            Schema::of_text("({str => u8?}, <Ok(u64) | Err(())>)"),
            schema_of::<Nested>().unwrap(),
        );
        assert_eq!(by_text.number(), by_type.number());
    }

    #[test]
    fn a_value_is_encoded_as_what_it_is() {
        let value = ("tea".to_owned(), 3_u32, vec![1.5_f64]);
        let encoded = Encoded::of(&value).unwrap();
        assert_eq!(Encoded::of(&encoded).unwrap(), encoded);
        assert_eq!(blob::decode::<Encoded>(&encoded.0).unwrap(), encoded);
        assert_eq!(
            blob::decode::<(String, u32, Vec<f64>)>(&encoded.0).unwrap(),
            value
        );
    }
}
