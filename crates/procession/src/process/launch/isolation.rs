//! From what a thread is isolated, as far as another process can see it.

use super::thread_status::ThreadStatus;
use crate::Result;

/// The namespaces, the root directory, the control group and the security label of a
/// thread. A thread that has entered others has other files, networks or rules than a
/// process that was started before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Isolation {
    /// Zeros where we may not look.
    namespaces: [u64; 7],
    /// Zeros where we may not look.
    root: [u64; 3],
    cgroup: String,
    /// Of security modules that give one.
    security_label: String,
}

impl Isolation {
    /// Reads those of a thread.
    ///
    /// # Errors
    /// They could not be read, for want of a descriptor, say. It does not mean that they are
    /// others.
    pub(crate) fn of(status: &ThreadStatus) -> Result<Isolation> {
        Ok(Isolation {
            namespaces: status.namespaces()?,
            root: status.root()?,
            // Kernels without either have no such file.
            cgroup: status.read_if_any("cgroup")?,
            security_label: status.read_if_any("attr/current")?,
        })
    }

    /// Returns `true` if the reader was allowed to see all of it.
    pub(crate) fn is_visible(&self) -> bool {
        self.namespaces[0] != 0 && self.root != [0; 3]
    }

    /// Returns `true` if each part is that of one of these. A part that nobody may look at
    /// is so only where it was hidden when the other was read.
    pub(crate) fn is_among(&self, known: [&Isolation; 2]) -> bool {
        let among = |is_same: &dyn Fn(&Isolation) -> bool| known.into_iter().any(is_same);
        among(&|other| self.namespaces == other.namespaces)
            && among(&|other| self.root == other.root)
            && among(&|other| self.cgroup == other.cgroup)
            && among(&|other| self.security_label == other.security_label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn isolation_is_the_same_for_others_as_for_oneself() {
        let own = Isolation::of(&ThreadStatus::own().unwrap()).unwrap();
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        let process = std::process::id().cast_signed();
        let status = ThreadStatus::of(process, thread.cast_unsigned()).unwrap();
        let seen = Isolation::of(&status).unwrap();
        assert_eq!(seen, own);
        assert!(seen.is_visible() && seen.is_among([&own, &own]));
        let mut hidden = seen.clone();
        hidden.root = [0; 3];
        assert!(!hidden.is_visible() && !hidden.is_among([&own, &own]));
        assert!(hidden.is_among([&own, &hidden]));
    }
}
