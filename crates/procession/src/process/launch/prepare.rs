//! Making a new process what it is to be like.
//!
//! # Safety
//!
//! `unsafe` here: the environment, while there is one thread.
#![allow(unsafe_code)]

use super::settings::{self, Settings};
use crate::Result;
use crate::error::Context;
use crate::process::die_with;
use procession_sys::signal::Mask;
use std::ffi::OsString;
use std::os::fd::OwnedFd;

/// Makes a new process, with one thread, what it is to be like, and ties it to
/// the one that forked it. Without `stdio` its standard streams stay.
pub(crate) fn prepare(settings: &Settings, stdio: Option<[OwnedFd; 3]>, parent: u32) -> Result<()> {
    die_with(parent)?;
    if let Some(stdio) = stdio {
        settings::set_stdio(&stdio)?;
    }
    settings::apply(settings)?;
    // The kernel unties a process that becomes another user.
    die_with(parent)?;
    settings.caller.hide()?;
    if let Some(environment) = &settings.environment {
        replace_environment(environment);
    }
    if let Some(hook) = settings.hook {
        hook.call()?;
    }
    Mask::of(&[]).install().during("unblocking signals", "")?;
    Ok(())
}

/// Makes these the variables of the calling process, which has just begun.
fn replace_environment(environment: &[(OsString, OsString)]) {
    for (key, _) in std::env::vars_os() {
        // SAFETY: the process has one thread: it was just forked.
        unsafe { std::env::remove_var(key) };
    }
    for (key, value) in environment {
        // SAFETY: as above; the names and values are those of variables.
        unsafe { std::env::set_var(key, value) };
    }
}
