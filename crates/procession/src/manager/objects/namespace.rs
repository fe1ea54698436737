//! The server's side of a namespace: names, each with a value of a type of its own.

use super::object::{Caller, Object, Replies};
use crate::manager::blob::{Blob, decode};
use crate::{ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Serialize, Deserialize)]
pub(in crate::manager) enum Request {
    /// `Option<Blob>`
    Get(String, Type),
    Set(String, Type, Blob),
    /// `Result<(), Option<Blob>>`: the second replaces the first, or what is there instead
    CompareExchange(String, Type, Option<Blob>, Option<Blob>),
    /// `bool`: whether it was a name
    Remove(String),
    /// `Vec<(String, String)>`: names, and what their types are
    Names,
}

/// What a value is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::manager) struct Type {
    pub(in crate::manager) number: u64,
    /// The same for people.
    pub(in crate::manager) text: String,
}

#[derive(Debug, Default)]
pub(in crate::manager) struct Namespace(BTreeMap<String, (Type, Blob)>);

impl Namespace {
    /// # Errors
    /// It is of another type, and what to say of that.
    fn get(&self, name: &str, of: &Type) -> std::result::Result<Option<&Blob>, String> {
        match self.0.get(name) {
            None => Ok(None),
            Some((there, value)) if there.number == of.number => Ok(Some(value)),
            Some((there, _)) => Err(format!(
                "`{name}` is a {}, and a {} was asked for",
                there.text, of.text
            )),
        }
    }
}

impl Object for Namespace {
    fn call(&mut self, caller: Caller, request: &[u8], replies: &mut Replies) -> Result<()> {
        match decode(request)? {
            Request::Get(name, of) => match self.get(&name, &of) {
                Ok(value) => replies.done(caller, &value),
                Err(why) => replies.refuse(caller, ErrorKind::Incompatible, why),
            },
            Request::Set(name, of, value) => {
                self.0.insert(name, (of, value));
                replies.done(caller, &());
            }
            Request::CompareExchange(name, of, expected, new) => {
                let there = match self.get(&name, &of) {
                    Ok(there) => there,
                    Err(why) => {
                        replies.refuse(caller, ErrorKind::Incompatible, why);
                        return Ok(());
                    }
                };
                let outcome = match there == expected.as_ref() {
                    false => Err(there.cloned()),
                    true => {
                        match new {
                            Some(new) => self.0.insert(name, (of, new)),
                            None => self.0.remove(&name),
                        };
                        Ok(())
                    }
                };
                replies.done(caller, &outcome);
            }
            Request::Remove(name) => replies.done(caller, &self.0.remove(&name).is_some()),
            Request::Names => {
                let names = self.0.iter();
                let names: Vec<_> = names.map(|(name, (of, _))| (name, &of.text)).collect();
                replies.done(caller, &names);
            }
        }
        Ok(())
    }
}
