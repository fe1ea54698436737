//! What both sides of a connection know and nobody else does.

use crate::error::Context;
use crate::name::random_bytes;
use crate::{Error, ErrorKind, Result};
use std::fmt;
use std::path::Path;
use zeroize::Zeroizing;

/// Fewest bytes of a key.
const MIN: usize = 32;

/// Most bytes that are read of a file.
const MAX: u64 = 4096;

/// A secret that both sides of a connection over the network have. A program that has it
/// may connect; others cannot read the messages, nor change them unnoticed. The key
/// itself is not sent, and `Debug` does not show it.
///
/// # Examples
/// ```
/// use procession::channel::Key;
/// let key = Key::generate()?;
/// assert!(Key::from_bytes(key.expose()).is_ok());
/// assert!(Key::from_bytes(b"too short").is_err());
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Clone)]
pub struct Key(Zeroizing<Vec<u8>>);

impl Key {
    /// Draws one from the system's random numbers.
    ///
    /// # Errors
    /// The system has none.
    pub fn generate() -> Result<Key> {
        let bytes = Zeroizing::new(random_bytes::<MIN>()?);
        Key::from_bytes(&bytes[..])
    }

    /// Takes bytes that were drawn at random, at least 32 of them. A password is no
    /// key.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput): there are fewer.
    pub fn from_bytes(bytes: &[u8]) -> Result<Key> {
        if bytes.len() < MIN {
            return Err(
                Error::new(ErrorKind::InvalidInput, "taking key", "").because(format!(
                    "it has {} bytes, and {MIN} random ones are the least",
                    bytes.len()
                )),
            );
        }
        Ok(Key(Zeroizing::new(bytes.to_vec())))
    }

    /// Reads one from a file that only this user may read; white space around it
    /// is no part of it.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound); [`Untrusted`](ErrorKind::Untrusted): others
    /// may read or write the file; as [`from_bytes`](Key::from_bytes).
    ///
    /// # Examples
    /// ```
    /// use procession::channel::Key;
    /// use std::os::unix::fs::PermissionsExt;
    /// # let directory = tempfile::tempdir().unwrap();
    /// let path = directory.path().join("key");
    /// std::fs::write(&path, "8dfc0ba4f00fc8ea8f5b6ee8c4cbe5e0\n").unwrap();
    /// std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    /// assert_eq!(Key::from_file(&path)?.expose().len(), 32);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn from_file(path: impl AsRef<Path>) -> Result<Key> {
        use std::io::Read;
        use std::os::unix::fs::MetadataExt;
        let (path, operation) = (path.as_ref(), "reading key");
        let file = std::fs::File::open(path).during(operation, path.display())?;
        let facts = file.metadata().during(operation, path.display())?;
        let me = rustix::process::geteuid().as_raw();
        if facts.uid() != me && facts.uid() != 0 || facts.mode() & 0o077 != 0 {
            return Err(Error::new(ErrorKind::Untrusted, operation, path.display())
                .because("others may read or change it")
                .with_hint("chmod 600, and keep it as your own"));
        }
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(MAX)
            .read_to_end(&mut bytes)
            .during(operation, path.display())?;
        Key::from_bytes(bytes.trim_ascii()).map_err(|error| error.about(path.display()))
    }

    /// Returns the bytes, to be stored where nobody else can read them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// What names it where the key itself must not go: a part of its hash.
    pub(crate) fn id(&self) -> [u8; 8] {
        let named = [b"procession key id", &self.pre_shared()[..]].concat();
        let digest = ring::digest::digest(&ring::digest::SHA256, &Zeroizing::new(named));
        let mut id = [0; 8];
        id.copy_from_slice(&digest.as_ref()[..8]);
        id
    }

    /// As the handshake takes it: 32 bytes, whatever its length.
    pub(super) fn pre_shared(&self) -> Zeroizing<[u8; 32]> {
        let digest = ring::digest::digest(&ring::digest::SHA256, &self.0);
        Zeroizing::new(digest.as_ref().try_into().expect("the length of SHA-256"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}
