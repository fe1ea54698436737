//! What was granted to a thread of this process: a lock or a permit.

use super::proxy::Proxy;
use crate::{Result, process_token};
use serde::Serialize;
use std::marker::PhantomData;

/// A lock or a permit, without a value. The guard that has it gives it back.
#[derive(Debug)]
pub(super) struct Grant<'a> {
    pub(super) proxy: &'a Proxy,
    pub(super) token: u64,
    /// A forked child has a copy of the guard, and nothing was granted to it.
    process: u64,
    /// The server knows the thread to which it was granted.
    stays_with_its_thread: PhantomData<*const ()>,
}

impl<'a> Grant<'a> {
    pub(super) fn new(proxy: &'a Proxy, token: u64) -> Grant<'a> {
        Grant {
            proxy,
            token,
            process: process_token::current(),
            stays_with_its_thread: PhantomData,
        }
    }

    pub(super) fn is_ours(&self) -> bool {
        self.process == process_token::current()
    }

    /// Tells the object something of what was granted, unless that was granted to the parent of this process. If the
    /// manager has ended, so has the grant.
    pub(super) fn tell(&self, request: &impl Serialize) -> Result<()> {
        match self.is_ours() {
            true => self.proxy.tell(request),
            false => Ok(()),
        }
    }
}
