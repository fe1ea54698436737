//! The cipher of one direction of an encrypted connection: what the Noise protocol calls a
//! `CipherState`. Without a socket, so that the owner of the socket decides how to wait.
//!
//! ChaCha20-Poly1305 with the number of the message as its nonce, which is not sent. Every 2^32
//! messages the key is replaced by Noise's `REKEY`.
//!
//! It is not `snow`'s own state, because a direction may be given to another process: key and number
//! are then data.
//!
//! # References
//! The Noise Protocol Framework, revision 34, §5.1, §11.3 and §12.3; RFC 8439.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

/// The key that a direction begins with.
pub(super) type DirectionKey = Zeroizing<[u8; 32]>;

/// How many bytes a message grows by when it is encrypted.
pub(crate) const TAG: usize = 16;

/// Messages after which the key is replaced.
const REKEY_AFTER: u64 = 1 << 32;

/// The number that no message has: Noise replaces keys with it.
const REKEY_NONCE: u64 = u64::MAX;

/// The key of one direction, and how many messages have gone it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Cipher {
    key: [u8; 32],
    messages: u64,
    rekey_after: u64,
}

impl Drop for Cipher {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cipher(after {} messages)", self.messages)
    }
}

fn nonce(number: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&number.to_le_bytes());
    Nonce::assume_unique_for_key(nonce)
}

impl Cipher {
    pub(super) fn new(key: &DirectionKey) -> Cipher {
        Cipher {
            key: **key,
            messages: 0,
            rekey_after: REKEY_AFTER,
        }
    }

    /// Encrypts the next message where it lies, and returns its tag.
    pub(crate) fn encrypt(&mut self, message: &mut [u8]) -> [u8; TAG] {
        let (key, nonce) = self.next();
        let tag = key.seal_in_place_separate_tag(nonce, Aad::empty(), message);
        let tag = tag.expect("a length that the cipher can take");
        tag.as_ref().try_into().expect("the length of a tag")
    }

    /// Decrypts the next message, which ends with its tag, where it lies. `None`: it is
    /// not what the other side encrypted next, and nothing after it can be decrypted.
    pub(crate) fn decrypt<'a>(&mut self, message: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let (key, nonce) = self.next();
        key.open_in_place(nonce, Aad::empty(), message).ok()
    }

    /// The key and the nonce of the next message.
    fn next(&mut self) -> (LessSafeKey, Nonce) {
        if self.messages > 0 && self.messages.is_multiple_of(self.rekey_after) {
            self.rekey();
        }
        let number = self.messages;
        self.messages += 1;
        (self.key(), nonce(number))
    }

    fn key(&self) -> LessSafeKey {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &self.key);
        LessSafeKey::new(key.expect("a key of the right length"))
    }

    fn rekey(&mut self) {
        let mut next = [0; 32];
        let tag =
            self.key()
                .seal_in_place_separate_tag(nonce(REKEY_NONCE), Aad::empty(), &mut next);
        let _discarded = tag.expect("a length that the cipher can take");
        self.key.zeroize();
        self.key = next;
        next.zeroize();
    }

    /// Replaces keys so often that a test sees it.
    #[cfg(test)]
    pub(super) fn rekeying_after(mut self, messages: u64) -> Cipher {
        self.rekey_after = messages;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A peer that is the crate `snow` and nothing of ours.
    fn by_snow(key: [u8; 32]) -> (snow::TransportState, snow::TransportState, DirectionKey) {
        let suite = "Noise_NNpsk0_25519_ChaChaPoly_SHA256".parse().unwrap();
        let builder = snow::Builder::new(suite).psk(0, &key).unwrap();
        let mut client = builder.build_initiator().unwrap();
        let suite = "Noise_NNpsk0_25519_ChaChaPoly_SHA256".parse().unwrap();
        let builder = snow::Builder::new(suite).psk(0, &key).unwrap();
        let mut server = builder.build_responder().unwrap();
        let (mut sent, mut read) = ([0; 100], [0; 100]);
        let length = client.write_message(&[], &mut sent).unwrap();
        server.read_message(&sent[..length], &mut read).unwrap();
        let length = server.write_message(&[], &mut sent).unwrap();
        client.read_message(&sent[..length], &mut read).unwrap();
        let to_server = DirectionKey::new(client.dangerously_get_raw_split().0);
        let client = client.into_transport_mode().unwrap();
        (client, server.into_transport_mode().unwrap(), to_server)
    }

    #[test]
    fn what_is_sent_are_the_messages_of_noise() {
        let (mut client, _, key) = by_snow([7; 32]);
        let mut cipher = Cipher::new(&key).rekeying_after(3);
        for number in 0..10 {
            let mut ours = format!("message {number}").into_bytes();
            let mut theirs = [0; 100];
            if number > 0 && number % 3 == 0 {
                client.rekey_outgoing();
            }
            let length = client.write_message(&ours, &mut theirs).unwrap();
            let tag = cipher.encrypt(&mut ours);
            ours.extend_from_slice(&tag);
            assert_eq!(ours, theirs[..length], "message {number}");
        }
    }

    #[test]
    fn messages_are_decrypted_in_their_order_only() {
        let key = DirectionKey::new([7; 32]);
        let mut sends = Cipher::new(&key);
        let mut sent = Vec::new();
        for text in [*b"one", *b"two"] {
            let mut message = text.to_vec();
            let tag = sends.encrypt(&mut message);
            message.extend_from_slice(&tag);
            sent.push(message);
        }
        let mut receives = Cipher::new(&key);
        assert!(receives.decrypt(&mut sent[1].clone()).is_none());
        let mut receives = Cipher::new(&key);
        assert_eq!(receives.decrypt(&mut sent[0].clone()).unwrap(), b"one");
        assert!(receives.decrypt(&mut sent[0].clone()).is_none());
        let mut receives = Cipher::new(&key);
        assert_eq!(receives.decrypt(&mut sent[0]).unwrap(), b"one");
        assert_eq!(receives.decrypt(&mut sent[1]).unwrap(), b"two");
        assert!(receives.decrypt(&mut [0; TAG - 1]).is_none());
    }
}
