//! The server's side of a value.

use super::object::{Caller, Object, Replies};
use crate::Result;
use crate::manager::blob::{Blob, decode};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub(in crate::manager) enum Request {
    /// `Blob`
    Get,
    /// `Blob`: what was there
    Replace(Blob),
    /// `Result<(), Blob>`: the second replaces the first, or what is there instead
    CompareExchange(Blob, Blob),
}

#[derive(Debug)]
pub(in crate::manager) struct Value(Blob);

impl Value {
    pub(super) fn new(value: Blob) -> Value {
        Value(value)
    }
}

impl Object for Value {
    fn call(&mut self, caller: Caller, request: &[u8], replies: &mut Replies) -> Result<()> {
        match decode(request)? {
            Request::Get => replies.done(caller, &self.0),
            Request::Replace(value) => {
                replies.done(caller, &std::mem::replace(&mut self.0, value));
            }
            Request::CompareExchange(expected, new) => {
                let outcome = match self.0 == expected {
                    false => Err(&self.0),
                    true => {
                        self.0 = new;
                        Ok(())
                    }
                };
                replies.done(caller, &outcome);
            }
        }
        Ok(())
    }
}
