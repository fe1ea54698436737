//! What a server needs before it serves: no more than the thread that started it has,
//! and the calls that it cannot do without.

use crate::error::Context;
use crate::process::start::rights::{Rights, Status};
use crate::{Error, ErrorKind, Result};
use procession_sys::{Errno, credentials as sys, process};

/// Gives up what executing the server has added to the rights of the thread that
/// started it: the kernel gives the superuser's programs all capabilities that are
/// not out of bounds, those too that their caller has laid down.
pub(super) fn lower_to(client: &Rights) -> Result<()> {
    let operation = "giving up rights";
    let own = Status::own()?.rights()?;
    let (has, may) = (own.capabilities, client.capabilities);
    // What the program of a superuser gets by being executed, our programs would get
    // again.
    if (has.permitted | has.effective) & !may.effective != 0 {
        let numbers = 0..u64::BITS;
        let surplus = has.bounding & !may.effective;
        let kept = numbers
            .filter(|number| surplus >> number & 1 == 1)
            .any(|number| sys::drop_from_bounding_set(number).is_err());
        if kept {
            // That, too, takes a right; with this bit the kernel adds nothing.
            rustix::thread::set_no_new_privs(true).during(operation, "")?;
        }
    }
    let laid_down = has.ambient & !may.effective;
    let both = (
        has.effective & may.effective,
        has.permitted & may.permitted,
        has.inheritable & may.inheritable & !laid_down,
    );
    if both != (has.effective, has.permitted, has.inheritable) {
        sys::set_capabilities(both.0, both.1, both.2).during(operation, "")?;
    }
    Ok(())
}

/// Refuses to serve where a filter of system calls would keep it from hearing of ends.
pub(super) fn require_calls() -> Result<()> {
    match process::next_zombie() {
        Ok(_) | Err(Errno::CHILD) => Ok(()),
        Err(errno) => Err(Error::os("starting server", "waitid", errno)
            .of_kind(ErrorKind::Unsupported)
            .with_hint("a filter of system calls (seccomp) has to allow waitid")),
    }
}
