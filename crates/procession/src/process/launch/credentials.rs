//! The credentials of a thread: what the kernel lets it do (credentials(7),
//! capabilities(7), seccomp(2)).

use super::thread_status::ThreadStatus;
use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// The credentials of a thread: its users and groups, its capabilities, and what was taken
/// from it. The kernel keeps them for each thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Credentials {
    /// Real, effective, saved, and for files.
    pub(crate) users: [u32; 4],
    pub(crate) groups: [u32; 4],
    supplementary: Vec<u32>,
    pub(crate) capabilities: Capabilities,
    no_new_privileges: u32,
    /// Mode, and how many filters.
    seccomp: [u32; 2],
    /// 0 where we may not look. Capabilities are about one namespace of users.
    pub(crate) user_namespace: u64,
}

/// The five sets of capabilities(7), a bit for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Capabilities {
    pub(crate) inheritable: u64,
    pub(crate) permitted: u64,
    pub(crate) effective: u64,
    pub(crate) bounding: u64,
    pub(crate) ambient: u64,
}

impl Credentials {
    /// Reads those of a thread.
    pub(crate) fn of(status: &ThreadStatus) -> Result<Credentials> {
        let user_namespace = status.namespace("ns/user")?;
        let read = || {
            Some(Credentials {
                users: decimal(status, "Uid")?,
                groups: decimal(status, "Gid")?,
                supplementary: status
                    .line("Groups")
                    .map(|word| word.parse().ok())
                    .collect::<Option<_>>()?,
                capabilities: Capabilities {
                    inheritable: hexadecimal(status, "CapInh")?,
                    permitted: hexadecimal(status, "CapPrm")?,
                    effective: hexadecimal(status, "CapEff")?,
                    bounding: hexadecimal(status, "CapBnd")?,
                    ambient: hexadecimal(status, "CapAmb")?,
                },
                no_new_privileges: decimal::<1>(status, "NoNewPrivs")?[0],
                // Kernels without seccomp have no such lines, the count is there
                // since Linux 5.9.
                seccomp: [
                    decimal::<1>(status, "Seccomp").unwrap_or([0])[0],
                    decimal::<1>(status, "Seccomp_filters").unwrap_or([0])[0],
                ],
                user_namespace,
            })
        };
        read().ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, "reading the credentials of thread", "")
                .because("unknown format of /proc/PID/status")
        })
    }

    /// Returns `true` if a thread with these could never have got the others back.
    pub(crate) fn are_for_good_unlike(&self, others: &Credentials) -> bool {
        let lasting = |credentials: &Credentials| {
            let capabilities = credentials.capabilities;
            (
                [credentials.users[0], credentials.users[2]],
                [credentials.groups[0], credentials.groups[2]],
                [capabilities.permitted, capabilities.bounding],
                credentials.no_new_privileges,
                credentials.seccomp,
                credentials.user_namespace,
            )
        };
        lasting(self) != lasting(others)
    }

    /// Returns `true` if they are the same, as far as a server may look that has
    /// capabilities, or none.
    ///
    /// It may not look in which namespace of users a thread is that hides itself;
    /// where it has no capabilities to give, that does not matter.
    pub(crate) fn are(&self, known: &Credentials, has_capabilities: bool) -> bool {
        let namespaces = [self.user_namespace, known.user_namespace];
        if namespaces.contains(&0) && has_capabilities {
            return false;
        }
        let mut seen = self.clone();
        if namespaces.contains(&0) {
            seen.user_namespace = known.user_namespace;
        }
        seen == *known
    }

    /// How many filters of system calls there are; one stands for any number where the
    /// kernel does not count them.
    pub(super) fn filters(&self) -> u32 {
        let [mode, count] = self.seccomp;
        count.max(mode.min(1))
    }

    /// Returns `true` if it is one user and one group throughout.
    pub(crate) fn are_of_one_user(&self) -> bool {
        self.users == [self.users[1]; 4] && self.groups == [self.groups[1]; 4]
    }
}

fn decimal<const N: usize>(status: &ThreadStatus, name: &str) -> Option<[u32; N]> {
    let words = status.line(name).map(|word| word.parse().ok());
    words.collect::<Option<Vec<u32>>>()?.try_into().ok()
}

fn hexadecimal(status: &ThreadStatus, name: &str) -> Option<u64> {
    u64::from_str_radix(status.line(name).next()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sees_the_same_of_oneself_as_others_do() {
        let own = Credentials::of(&ThreadStatus::own().unwrap()).unwrap();
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        let process = std::process::id().cast_signed();
        let theirs = ThreadStatus::of(process, thread.cast_unsigned()).unwrap();
        assert_eq!(Credentials::of(&theirs).unwrap(), own);
        assert!(own.are(&own, true) && !own.are_for_good_unlike(&own));
        assert_eq!(own.users[1], rustix::process::geteuid().as_raw());
        assert_ne!(own.user_namespace, 0);
        // No thread of this process.
        assert!(ThreadStatus::of(process, 1).is_err());
    }

    #[test]
    fn less_is_not_the_same() {
        let own = Credentials::of(&ThreadStatus::own().unwrap()).unwrap();
        let mut less = own.clone();
        less.capabilities.bounding ^= 1;
        assert!(!less.are(&own, false) && less.are_for_good_unlike(&own));
        let mut other = own.clone();
        other.users[1] ^= 1;
        assert!(!other.are(&own, false) && !other.are_for_good_unlike(&own));
        assert!(!other.are_of_one_user());
    }
}
