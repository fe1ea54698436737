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
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

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
    let can_be_set = |name: &OsStr| !name.is_empty() && !name.as_bytes().contains(&b'=');
    // Whoever executed a program may have given it other ones, as `=C:=value`, which
    // execve(2) does not look at. They are copied nowhere, and stay where they are.
    for (key, _) in std::env::vars_os().filter(|(key, _)| can_be_set(key)) {
        // SAFETY: the process has one thread: it was just forked.
        unsafe { std::env::remove_var(key) };
    }
    for (key, value) in environment.iter().filter(|(key, _)| can_be_set(key)) {
        // SAFETY: as above; the names and values are those of variables.
        unsafe { std::env::set_var(key, value) };
    }
}
