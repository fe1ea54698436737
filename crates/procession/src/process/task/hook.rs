//! A function without arguments, as something that can be sent.
//!
//! # Safety
//!
//! `unsafe` here is one step: from the function's distance to the load address back to
//! the function. The [seal](super::seal) over the distance says that it was measured from
//! an `fn()` of this build.
#![allow(unsafe_code)]

use super::entry_point::{no_code, untrusted};
use super::function::offset_of;
use super::seal;
use crate::Result;
use procession_sys::image;
use serde::{Deserialize, Serialize};

/// A function without arguments, for another process of the family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hook {
    offset: u64,
    seal: u64,
}

impl Hook {
    pub(crate) fn of(hook: fn()) -> Result<Hook> {
        let offset = offset_of(hook as *const ())?;
        Ok(Hook {
            offset,
            seal: seal::seal(&[offset]),
        })
    }

    /// Calls it.
    pub(crate) fn call(self) -> Result<()> {
        if seal::seal(&[self.offset]) != self.seal {
            return Err(untrusted());
        }
        // SAFETY: the seal says that `of` measured the offset of a `fn()` of this build.
        let hook = unsafe { image::main_program().function::<fn()>(self.offset) };
        hook.ok_or_else(no_code)?();
        Ok(())
    }
}
