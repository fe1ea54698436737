//! Dropping the privileges that the thread that started the server does not have.

use crate::Result;
use crate::error::Context;
use crate::process::launch::credentials::Credentials;
use crate::process::launch::thread_status::ThreadStatus;
use procession_sys::credentials as sys;

/// Drops what executing the server has added to the credentials of the thread that
/// started it: the kernel gives the superuser's programs all capabilities that are
/// in the bounding set, also those that the caller has dropped.
pub(super) fn drop_to(client: &Credentials) -> Result<()> {
    let operation = "dropping privileges";
    let own = Credentials::of(&ThreadStatus::own()?)?;
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
