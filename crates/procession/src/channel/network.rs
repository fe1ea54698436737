//! What managers use of encrypted connections: the handshake and the cipher, without a channel on top.

pub(crate) use super::cipher::{Cipher, TAG};
pub(crate) use super::handshake::{CHALLENGE, HELLO, PROOF, Server, Trust};
pub(crate) use super::silence::{UserTimeout, keep_alive, says_loss};
pub(crate) use super::tcp::{connect_encrypted, listen, local_address};

/// One that both sides of a test have.
#[cfg(test)]
pub(crate) fn cipher_for_tests() -> Cipher {
    Cipher::new(&super::cipher::DirectionKey::new([7; 32]))
}
