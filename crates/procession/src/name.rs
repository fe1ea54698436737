//! Names of POSIX objects, which are checked before system calls.

use crate::{Error, ErrorKind, Result};
use std::ffi::{CStr, CString};
use std::fmt;

/// The name of a POSIX message queue, semaphore or shared memory object: a slash and 1 to 250
/// bytes without a slash; mq_overview(7), sem_overview(7), shm_overview(7).
///
/// # Examples
/// ```
/// use procession::Name;
/// assert_eq!(Name::new("jobs")?.to_string(), "/jobs");
/// assert_eq!(Name::new("/jobs")?.to_string(), "/jobs");
/// assert!(Name::new("a/b").is_err());
/// assert_ne!(Name::random("jobs")?, Name::random("jobs")?);
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(CString);

impl TryFrom<String> for Name {
    type Error = Error;

    fn try_from(name: String) -> Result<Name> {
        Name::new(&name)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.to_string()
    }
}

/// Bytes behind the slash: `NAME_MAX` less the `sem.` that libc puts in front
/// of a semaphore's name, so that one rule holds for all three kinds.
const MAX_BYTES: usize = 250;

impl Name {
    /// Checks a name and returns it. The leading slash may be left out.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput): the name is empty, longer than 250 bytes, `.`
    /// or `..`, or contains another slash or a NUL.
    pub fn new(name: &str) -> Result<Name> {
        let bare = name.strip_prefix('/').unwrap_or(name);
        let wrong = match bare {
            "" => Some("it is empty"),
            "." | ".." => Some("`.` and `..` name directories"),
            _ if bare.len() > MAX_BYTES => Some("it is longer than 250 bytes"),
            _ if bare.contains('/') => Some("only the first character may be a slash"),
            _ if bare.contains('\0') => Some("it contains a NUL"),
            _ => None,
        };
        let invalid = || Error::new(ErrorKind::InvalidInput, "checking object name", name);
        match wrong {
            Some(wrong) => Err(invalid().because(wrong)),
            None => CString::new(format!("/{bare}"))
                .map(Name)
                .map_err(|_| invalid()),
        }
    }

    /// Returns a name of `prefix` and 128 random bits, which other users cannot guess.
    ///
    /// # Errors
    /// - those of [`new`](Name::new)
    /// - those of getrandom(2)
    pub fn random(prefix: &str) -> Result<Name> {
        Name::new(&format!("{prefix}-{}", random_hex()?))
    }

    pub(crate) fn as_c_str(&self) -> &CStr {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_string_lossy())
    }
}

/// Random bytes of the kernel.
pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::Other, "drawing random bytes", "").because(error.to_string())
    })?;
    Ok(bytes)
}

/// 128 random bits in hexadecimal.
pub(crate) fn random_hex() -> Result<String> {
    Ok(format!("{:032x}", u128::from_ne_bytes(random_bytes()?)))
}

impl std::str::FromStr for Name {
    type Err = Error;

    /// As [`Name::new`].
    fn from_str(name: &str) -> Result<Name> {
        Name::new(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_that_would_confuse_the_kernel_are_refused() {
        for bad in ["", "/", ".", "/..", "a/b", "//a", "a\0b", &"x".repeat(251)] {
            let error = Name::new(bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{bad:?}");
        }
        assert!(Name::new(&"x".repeat(250)).is_ok());
    }

    proptest! {
        #[test]
        fn an_accepted_name_has_one_slash_and_no_nul(text in ".{0,300}") {
            if let Ok(name) = Name::new(&text) {
                let bytes = name.as_c_str().to_bytes();
                prop_assert_eq!(bytes[0], b'/');
                prop_assert!(!bytes[1..].contains(&b'/'));
                prop_assert!(bytes.len() <= 251);
            }
        }
    }
}
