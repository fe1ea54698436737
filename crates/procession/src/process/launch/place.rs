//! Where a thread is, as far as another process can see it.

use super::rights::Status;
use crate::Result;

/// What is beyond rights: a thread in another place has other files, networks or rules
/// than a process that was started before it went there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Zeros where we may not look.
    namespaces: [u64; 7],
    /// Zeros where we may not look.
    root: [u64; 3],
    cgroup: String,
    /// Of security modules that give one.
    label: String,
}

impl Place {
    /// Looks where it is.
    ///
    /// # Errors
    /// That nobody could look, for want of a descriptor: this is no other place.
    pub(crate) fn of(status: &Status) -> Result<Place> {
        Ok(Place {
            namespaces: status.namespaces()?,
            root: status.root()?,
            // Kernels without either have no such file.
            cgroup: status.read_if_any("cgroup")?,
            label: status.read_if_any("attr/current")?,
        })
    }

    /// Whether all of it was to be seen.
    pub(crate) fn is_seen(&self) -> bool {
        self.namespaces[0] != 0 && self.root != [0; 3]
    }

    /// Whether each part is that of one of these. A part that nobody may look at is so
    /// only where it was when the other place was taken.
    pub(crate) fn is_among(&self, known: [&Place; 2]) -> bool {
        let among = |is_same: &dyn Fn(&Place) -> bool| known.into_iter().any(is_same);
        among(&|other| self.namespaces == other.namespaces)
            && among(&|other| self.root == other.root)
            && among(&|other| self.cgroup == other.cgroup)
            && among(&|other| self.label == other.label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_seen_by_others_as_by_oneself() {
        let own = Place::of(&Status::own().unwrap()).unwrap();
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        let process = std::process::id().cast_signed();
        let status = Status::of(process, thread.cast_unsigned()).unwrap();
        let seen = Place::of(&status).unwrap();
        assert_eq!(seen, own);
        assert!(seen.is_seen() && seen.is_among([&own, &own]));
        let mut hidden = seen.clone();
        hidden.root = [0; 3];
        assert!(!hidden.is_seen() && !hidden.is_among([&own, &own]));
        assert!(hidden.is_among([&own, &hidden]));
    }
}
