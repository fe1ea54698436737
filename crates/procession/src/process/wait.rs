//! Taking the status of a child that has ended: waitid(2).

use super::ExitStatus;
use rustix::process::{WaitId, WaitIdOptions};
use std::os::fd::BorrowedFd;

/// Reaps the process if it has ended.
pub(super) fn reap(pidfd: BorrowedFd<'_>) -> procession_sys::Result<Option<ExitStatus>> {
    reap_by(WaitId::PidFd(pidfd))
}

/// [`reap`], for those who know that a number is their child's.
pub(super) fn reap_by(child: WaitId<'_>) -> procession_sys::Result<Option<ExitStatus>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let status = rustix::io::retry_on_intr(|| rustix::process::waitid(child.clone(), options))?;
    Ok(status.map(|status| {
        ExitStatus::from_parts(
            status.exit_status(),
            status.terminating_signal(),
            status.dumped(),
        )
    }))
}
