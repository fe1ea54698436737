//! A source that makes up whatever a type asks for, and writes down what that was.

use super::node::{Form, Label, MOST_PARTS, MOST_TRIES, Node, Trace};
use crate::codec::refusal::Refusal;
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess};
use serde::de::{SeqAccess, VariantAccess, Visitor};
use std::any::type_name;

/// How deep values may lie in each other.
const DEEPEST: usize = 64;

/// How deep below the first recursion one may go to find an end.
const DEEPEST_END: usize = 16;

/// How many values are made up for a type, all in all.
const MAX_STEPS: usize = 200_000;

/// Lets a type read itself at a place.
pub(super) fn descend<'de, S: DeserializeSeed<'de>>(
    node: &mut Node,
    trace: &mut Trace,
    salt: usize,
    seed: S,
) -> Result<S::Value, Refusal> {
    trace.steps += 1;
    if trace.steps > MAX_STEPS || trace.depth >= DEEPEST {
        node.stuck = true;
        trace.blamed = true;
        return Err(Refusal("it is too large".to_owned()));
    }
    trace.depth += 1;
    let outcome = seed.deserialize(Recorder {
        node: &mut *node,
        trace: &mut *trace,
        salt,
    });
    trace.depth = trace.depth.saturating_sub(1);
    let outcome = node.note(trace, outcome);
    if outcome.is_err() && !trace.blamed {
        // Without having asked for anything, or after it had been given all.
        trace.blamed = true;
        trace.progress = true;
        match node.forms.last_mut() {
            Some(form) if form.tries + 1 < MOST_TRIES => form.tries += 1,
            _ => node.stuck = true,
        }
    }
    outcome
}

pub(super) struct Recorder<'a> {
    node: &'a mut Node,
    trace: &'a mut Trace,
    /// Chooses among what can be made up.
    salt: usize,
}

/// What texts may have to look like.
const TEXTS: [&str; MOST_TRIES] = [
    "",
    "1",
    "a",
    "127.0.0.1",
    "2001-01-01T00:00:00Z",
    "2001-01-01",
    "00000000-0000-0000-0000-000000000001",
    "http://a/",
];

impl Recorder<'_> {
    /// Gives a number, a text or the like; `visit` with one of several.
    fn scalar<T>(
        self,
        name: &'static str,
        visit: impl FnOnce(usize) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let Recorder { node, trace, salt } = self;
        let form = node.form(Label::Scalar(name), 0, trace);
        let outcome = visit((form.tries + salt) % MOST_TRIES);
        let (outcome, stuck) = form.learn(outcome, MOST_TRIES, trace);
        node.stuck |= stuck;
        outcome
    }

    /// Gives something with parts.
    fn whole<T>(
        self,
        label: Label,
        parts: usize,
        visit: impl FnOnce(&mut Form, &mut Trace, usize) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let Recorder { node, trace, salt } = self;
        let form = node.form(label, parts, trace);
        let salt = salt + form.tries;
        let outcome = visit(form, trace, salt);
        let (outcome, stuck) = form.learn(outcome, MOST_TRIES, trace);
        node.stuck |= stuck;
        outcome
    }

    /// [`whole`](Recorder::whole), of a type with a name, which may be in itself.
    fn named<V, T>(
        self,
        label: Label,
        parts: usize,
        visit: impl FnOnce(&mut Form, &mut Trace, usize) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let name = type_name::<V>();
        let Recorder { node, trace, salt } = self;
        if trace.ending > 0 {
            trace.ending += 1;
            if trace.ending > DEEPEST_END {
                trace.blamed = true;
                return Err(Refusal("it has no end".to_owned()));
            }
            let recorder = Recorder { node, trace, salt };
            return recorder.whole(label, parts, visit);
        }
        let inside = trace.inside.iter().rposition(|one| *one == name);
        let Some(at) = inside else {
            trace.inside.push(name);
            let length = trace.inside.len();
            let recorder = Recorder {
                node,
                trace: &mut *trace,
                salt,
            };
            let outcome = recorder.whole(label, parts, visit);
            trace.inside.truncate(length - 1);
            return outcome;
        };
        let up = trace.inside.len() - at;
        let form = node.form(Label::Recursion(up), 0, trace);
        let salt = salt + form.tries;
        trace.ending = 1;
        let mut scratch = Node::default();
        let recorder = Recorder {
            node: &mut scratch,
            trace: &mut *trace,
            salt,
        };
        let outcome = recorder.whole(label, parts, visit);
        trace.ending = 0;
        if outcome.is_err() {
            // Another variant may lead to an end, another number be accepted.
            trace.blamed = false;
        }
        let (outcome, stuck) = form.learn(outcome, 32, trace);
        node.stuck |= stuck;
        outcome
    }
}

macro_rules! numbers {
    ($($method:ident, $visit:ident: $name:ident),* $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
            self.scalar(stringify!($name), |choice| {
                visitor.$visit([0, 1, 2, 100, 10, 50, 3, 127][choice] as $name)
            })
        }
    )*};
}

macro_rules! refuses {
    ($($method:ident),*) => {$(
        fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Refusal> {
            self.trace.refused = true;
            self.trace.blamed = true;
            Err(Refusal::undescribed())
        }
    )*};
}

macro_rules! texts {
    ($($method:ident),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
            self.scalar("str", |choice| visitor.visit_borrowed_str(TEXTS[choice]))
        }
    )*};
}

macro_rules! bytes {
    ($($method:ident),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
            self.scalar("bytes", |choice| visitor.visit_borrowed_bytes(&[0; 64][..8 * choice]))
        }
    )*};
}

impl<'de> Deserializer<'de> for Recorder<'_> {
    type Error = Refusal;

    numbers! {
        deserialize_u8, visit_u8: u8, deserialize_u16, visit_u16: u16,
        deserialize_u32, visit_u32: u32, deserialize_u64, visit_u64: u64,
        deserialize_u128, visit_u128: u128, deserialize_i8, visit_i8: i8,
        deserialize_i16, visit_i16: i16, deserialize_i32, visit_i32: i32,
        deserialize_i64, visit_i64: i64, deserialize_i128, visit_i128: i128,
        deserialize_f32, visit_f32: f32, deserialize_f64, visit_f64: f64,
    }
    refuses!(
        deserialize_any,
        deserialize_identifier,
        deserialize_ignored_any
    );
    texts!(deserialize_str, deserialize_string);
    bytes!(deserialize_bytes, deserialize_byte_buf);

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.scalar("bool", |choice| visitor.visit_bool(choice % 2 == 1))
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.scalar("char", |choice| {
            visitor.visit_char(['a', '0', 'A', ' ', '.', '1', '-', 'z'][choice])
        })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.whole(Label::Option, 1, |form, trace, salt| {
            match form.next(trace) {
                true => {
                    let part = &mut form.parts[0];
                    let outcome = visitor.visit_some(Recorder {
                        node: &mut *part,
                        trace: &mut *trace,
                        salt,
                    });
                    part.note(trace, outcome)
                }
                false => visitor.visit_none(),
            }
        })
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.scalar("()", |_| visitor.visit_unit())
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.whole(Label::Unit(name), 0, |_, _, _| visitor.visit_unit())
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.named::<V, _>(Label::Newtype(name), 1, |form, trace, salt| {
            let part = &mut form.parts[0];
            let outcome = visitor.visit_newtype_struct(Recorder {
                node: &mut *part,
                trace: &mut *trace,
                salt,
            });
            part.note(trace, outcome)
        })
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.whole(Label::Sequence, 1, |form, trace, salt| {
            let left = usize::from(form.next(trace)) * (1 + form.tries / 2);
            visitor.visit_seq(Several::new(form, trace, salt, left))
        })
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.deserialize_tuple_struct("", length, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        let label = Label::Tuple(name, length);
        let parts = length.min(MOST_PARTS);
        let visit = |form: &mut Form, trace: &mut Trace, salt: usize| {
            visitor.visit_seq(Several::new(form, trace, salt, length))
        };
        match name {
            "" => self.whole(label, parts, visit),
            _ => self.named::<V, _>(label, parts, visit),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.whole(Label::Map, 2, |form, trace, salt| {
            let left = 2 * usize::from(form.next(trace));
            visitor.visit_map(Several::new(form, trace, salt, left))
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.named::<V, _>(Label::Fields(fields), fields.len(), |form, trace, salt| {
            visitor.visit_seq(Several::new(form, trace, salt, fields.len()))
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        let name = type_name::<V>();
        self.named::<V, _>(
            Label::Enum(variants),
            variants.len(),
            |form, trace, salt| {
                let number = match trace.ending {
                    0 => form.variant(),
                    _ => trace.ends.get(name).copied().unwrap_or(0) as usize,
                };
                let ending = trace.ending > 0;
                let Some(part) = form.parts.get_mut(number) else {
                    return Err(Refusal("it has no variants".to_owned()));
                };
                let outcome = visitor.visit_enum(Variant {
                    recorder: Recorder {
                        node: part,
                        trace: &mut *trace,
                        salt,
                    },
                    number,
                });
                if ending && outcome.is_err() {
                    let next = (number + 1) % variants.len();
                    trace.ends.insert(name, next as u32);
                }
                outcome
            },
        )
    }
}

/// Parts one after the other: keys and values in turn, of maps.
struct Several<'a> {
    form: &'a mut Form,
    trace: &'a mut Trace,
    salt: usize,
    given: usize,
    left: usize,
}

impl<'a> Several<'a> {
    fn new(form: &'a mut Form, trace: &'a mut Trace, salt: usize, left: usize) -> Several<'a> {
        Several {
            form,
            trace,
            salt,
            given: 0,
            left,
        }
    }

    fn next<'de, S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Refusal> {
        let index = match self.form.label {
            Label::Sequence => 0,
            Label::Map => self.given % 2,
            _ => self.given.min(MOST_PARTS - 1),
        };
        self.given += 1;
        self.left = self.left.saturating_sub(1);
        // A set wants different values.
        let salt = match self.form.label {
            Label::Sequence => self.salt + self.given - 1,
            _ => self.salt,
        };
        match self.form.parts.get_mut(index) {
            Some(part) => descend(part, self.trace, salt, seed),
            None => Err(Refusal("it has no such part".to_owned())),
        }
    }
}

impl<'de> SeqAccess<'de> for Several<'_> {
    type Error = Refusal;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Refusal> {
        match self.left {
            0 => Ok(None),
            _ => self.next(seed).map(Some),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> MapAccess<'de> for Several<'_> {
    type Error = Refusal;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Refusal> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Refusal> {
        self.next(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.div_ceil(2))
    }
}

struct Variant<'a> {
    recorder: Recorder<'a>,
    number: usize,
}

impl<'a, 'de> EnumAccess<'de> for Variant<'a> {
    type Error = Refusal;
    type Variant = Recorder<'a>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Recorder<'a>), Refusal> {
        let number = self.number as u32;
        let variant = seed.deserialize(IntoDeserializer::<Refusal>::into_deserializer(number))?;
        Ok((variant, self.recorder))
    }
}

impl<'de> VariantAccess<'de> for Recorder<'_> {
    type Error = Refusal;

    fn unit_variant(self) -> Result<(), Refusal> {
        self.whole(Label::Unit(""), 0, |_, _, _| Ok(()))
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Refusal> {
        self.whole(Label::Newtype(""), 1, |form, trace, salt| {
            descend(&mut form.parts[0], trace, salt, seed)
        })
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        let parts = length.min(MOST_PARTS);
        self.whole(Label::Tuple("", length), parts, |form, trace, salt| {
            visitor.visit_seq(Several::new(form, trace, salt, length))
        })
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.whole(Label::Fields(fields), fields.len(), |form, trace, salt| {
            visitor.visit_seq(Several::new(form, trace, salt, fields.len()))
        })
    }
}
