//! The server's side of an array.

use super::object::{Caller, Object, Replies};
use crate::manager::blob::{Blob, decode};
use crate::{ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::ops::Range;

#[derive(Debug, Serialize, Deserialize)]
pub(in crate::manager) enum Request {
    /// `Vec<Blob>`: values from one on, up to so many, and bytes
    Range(u64, u64, u64),
    /// `Blob`: what was there
    Replace(u64, Blob),
    /// The values from one on become these.
    SetRange(u64, Vec<Blob>),
    Swap(u64, u64),
    /// `Result<(), Blob>`: at a position, the second replaces the first, or what is there instead
    CompareExchange(u64, Blob, Blob),
    /// `u64`
    Len,
}

#[derive(Debug)]
pub(in crate::manager) struct Array(Box<[Blob]>);

impl Array {
    pub(super) fn new(values: Vec<Blob>) -> Array {
        Array(values.into_boxed_slice())
    }

    /// # Errors
    /// The array is shorter, and what to say of that.
    fn places(&self, from: u64, count: u64) -> std::result::Result<Range<usize>, String> {
        let length = self.0.len() as u64;
        match from.checked_add(count) {
            Some(end) if end <= length => Ok(from as usize..end as usize),
            _ => Err(match count {
                1 => format!("there is no position {from} in an array of {length}"),
                _ => format!(
                    "{count} values from position {from} on are not in an array of {length}"
                ),
            }),
        }
    }

    fn place(&self, index: u64) -> std::result::Result<usize, String> {
        self.places(index, 1).map(|places| places.start)
    }

    fn serve(
        &mut self,
        caller: Caller,
        request: Request,
        replies: &mut Replies,
    ) -> std::result::Result<(), String> {
        match request {
            Request::Range(from, count, max_bytes) => {
                let places = match count {
                    u64::MAX => self.places(from, (self.0.len() as u64).saturating_sub(from)),
                    count => self.places(from, count),
                };
                let mut bytes = 0;
                let values = self.0[places?].iter().take_while(|value| {
                    let is_first = bytes == 0;
                    bytes += (value.0.len() + 8) as u64;
                    is_first || bytes <= max_bytes
                });
                replies.done(caller, &values.collect::<Vec<_>>());
            }
            Request::Replace(index, value) => {
                let place = self.place(index)?;
                let before = std::mem::replace(&mut self.0[place], value);
                replies.done(caller, &before);
            }
            Request::SetRange(from, values) => {
                let places = self.places(from, values.len() as u64)?;
                for (there, value) in self.0[places].iter_mut().zip(values) {
                    *there = value;
                }
                replies.done(caller, &());
            }
            Request::Swap(one, other) => {
                let (one, other) = (self.place(one)?, self.place(other)?);
                self.0.swap(one, other);
                replies.done(caller, &());
            }
            Request::CompareExchange(index, expected, new) => {
                let there = &mut self.0[self.place(index)?];
                let outcome = match *there == expected {
                    false => Err(&*there),
                    true => {
                        *there = new;
                        Ok(())
                    }
                };
                replies.done(caller, &outcome);
            }
            Request::Len => replies.done(caller, &(self.0.len() as u64)),
        }
        Ok(())
    }
}

impl Object for Array {
    fn call(&mut self, caller: Caller, request: &[u8], replies: &mut Replies) -> Result<()> {
        if let Err(why) = self.serve(caller, decode(request)?, replies) {
            replies.refuse(caller, ErrorKind::InvalidInput, why);
        }
        Ok(())
    }

    fn size(&self) -> usize {
        self.0.len()
    }
}
