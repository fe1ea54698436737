//! How two sides that have the same key prove it to each other, without sending
//! it, and come to keys for what they say.
//!
//! ```text
//! client                                                server
//!   │ hello: mark (8), nonce (32), types (16)              │
//!   ├─────────────────────────────────────────────────────▶│
//!   │ challenge: nonce (32), types (16),                   │
//!   │            MAC("server", hello, nonce, types) (32)   │
//!   │◀─────────────────────────────────────────────────────┤
//!   │ proof: MAC("client", hello, challenge) (32)          │
//!   ├─────────────────────────────────────────────────────▶│
//! ```
//!
//! MAC is HMAC-SHA-256 with the key. Both nonces are in both proofs, so none can
//! be used again; the words for the roles are, so none can be sent back. Nothing
//! is decoded before both have been checked, and no length is announced: each
//! message has one. The keys for the two ways come from the key and all that was
//! said (HKDF).
//!
//! # References
//! RFC 2104, RFC 5869; house rule of `docs/design.md`, "Connections".

use super::key::Key;
use crate::name::random_bytes;
use crate::{Error, ErrorKind, Result};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const MARK: [u8; 8] = *b"procchn2";
const NONCE: usize = 32;
const TYPES: usize = 16;
const PROOF: usize = 32;

/// Bytes of each message.
pub(super) const HELLO: usize = MARK.len() + NONCE + TYPES;
pub(super) const CHALLENGE: usize = NONCE + TYPES + PROOF;
pub(super) const ANSWER: usize = PROOF;

/// What a side sends and receives, as numbers for the shapes of the types.
pub(super) type Types = [u64; 2];

/// A key for one way.
pub(super) type WayKey = zeroize::Zeroizing<[u8; 32]>;

/// What both sides know when they trust each other.
pub(super) struct Trust {
    pub(super) to_server: WayKey,
    pub(super) to_client: WayKey,
    /// Of the other side.
    pub(super) types: Types,
}

/// The side that connects.
pub(super) struct Client<'a> {
    key: &'a Key,
    hello: [u8; HELLO],
}

/// The side that listens, when it has been greeted.
pub(super) struct Server {
    key: Key,
    said: [u8; HELLO + CHALLENGE],
}

fn refused(why: &'static str) -> Error {
    Error::new(ErrorKind::PermissionDenied, "authenticating", "").because(why)
}

fn mac(key: &Key, role: &[u8], said: &[u8]) -> Hmac<Sha256> {
    let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key.expose());
    mac.expect("a key of any length")
        .chain_update(role)
        .chain_update(said)
}

fn bytes_of(types: Types) -> [u8; TYPES] {
    let mut bytes = [0; TYPES];
    bytes[..8].copy_from_slice(&types[0].to_le_bytes());
    bytes[8..].copy_from_slice(&types[1].to_le_bytes());
    bytes
}

fn types_of(bytes: &[u8]) -> Types {
    let number = |at: usize| {
        let mut number = [0; 8];
        number.copy_from_slice(&bytes[at..at + 8]);
        u64::from_le_bytes(number)
    };
    [number(0), number(8)]
}

fn trust(key: &Key, said: &[u8], types: Types) -> Trust {
    let derivation = Hkdf::<Sha256>::new(Some(said), key.expose());
    let way = |name: &[u8]| {
        let mut key = WayKey::default();
        derivation
            .expand(name, &mut key[..])
            .expect("a length that it can give");
        key
    };
    Trust {
        to_server: way(b"procession client to server"),
        to_client: way(b"procession server to client"),
        types,
    }
}

impl<'a> Client<'a> {
    /// The first message.
    pub(super) fn greet(key: &'a Key, types: Types) -> Result<(Client<'a>, [u8; HELLO])> {
        let mut hello = [0; HELLO];
        hello[..8].copy_from_slice(&MARK);
        hello[8..8 + NONCE].copy_from_slice(&random_bytes::<NONCE>()?);
        hello[8 + NONCE..].copy_from_slice(&bytes_of(types));
        Ok((Client { key, hello }, hello))
    }

    /// Checks the server's proof, and gives one.
    pub(super) fn answer(self, challenge: &[u8; CHALLENGE]) -> Result<([u8; ANSWER], Trust)> {
        let (open, proof) = challenge.split_at(NONCE + TYPES);
        mac(self.key, b"procession server", &self.hello)
            .chain_update(open)
            .verify_slice(proof)
            .map_err(|_| {
                refused("the other side has another key, or is no listener of this library")
            })?;
        let said = [&self.hello[..], &challenge[..]].concat();
        let answer = mac(self.key, b"procession client", &said).finalize();
        let trust = trust(self.key, &said, types_of(&open[NONCE..]));
        Ok((answer.into_bytes().into(), trust))
    }
}

impl Server {
    /// Proves to who greets that this side has the key.
    pub(super) fn challenge(
        key: &Key,
        types: Types,
        hello: &[u8; HELLO],
    ) -> Result<(Server, [u8; CHALLENGE])> {
        if hello[..8] != MARK {
            return Err(refused("it speaks another protocol"));
        }
        let mut challenge = [0; CHALLENGE];
        challenge[..NONCE].copy_from_slice(&random_bytes::<NONCE>()?);
        challenge[NONCE..NONCE + TYPES].copy_from_slice(&bytes_of(types));
        let proof = mac(key, b"procession server", hello)
            .chain_update(&challenge[..NONCE + TYPES])
            .finalize();
        challenge[NONCE + TYPES..].copy_from_slice(&proof.into_bytes());
        let mut said = [0; HELLO + CHALLENGE];
        said[..HELLO].copy_from_slice(hello);
        said[HELLO..].copy_from_slice(&challenge);
        let key = key.clone();
        Ok((Server { key, said }, challenge))
    }

    /// Checks the client's proof.
    pub(super) fn check(self, answer: &[u8; ANSWER]) -> Result<Trust> {
        mac(&self.key, b"procession client", &self.said)
            .verify_slice(answer)
            .map_err(|_| refused("it has another key"))?;
        let types = types_of(&self.said[8 + NONCE..HELLO]);
        Ok(trust(&self.key, &self.said, types))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(server_key: &Key, client_key: &Key) -> Result<(Trust, Trust)> {
        let (client, hello) = Client::greet(client_key, [1, 2])?;
        let (server, challenge) = Server::challenge(server_key, [2, 1], &hello)?;
        let (answer, of_client) = client.answer(&challenge)?;
        Ok((server.check(&answer)?, of_client))
    }

    #[test]
    fn two_who_have_the_key_come_to_the_same_keys() {
        let key = Key::generate().unwrap();
        let (server, client) = whole(&key, &key).unwrap();
        assert_eq!(server.to_server, client.to_server);
        assert_eq!(server.to_client, client.to_client);
        assert_ne!(server.to_client, client.to_server);
        assert_eq!((server.types, client.types), ([1, 2], [2, 1]));
        // And to others each time.
        let (again, _) = whole(&key, &key).unwrap();
        assert_ne!(again.to_server, server.to_server);
    }

    #[test]
    fn another_key_is_found_out_by_both() {
        let (one, other) = (Key::generate().unwrap(), Key::generate().unwrap());
        assert!(whole(&one, &other).is_err());
        let (_, hello) = Client::greet(&other, [1, 2]).unwrap();
        let (server, _) = Server::challenge(&one, [2, 1], &hello).unwrap();
        // Who has not the key can answer only by chance.
        assert!(server.check(&[0; ANSWER]).is_err());
    }

    #[test]
    fn what_was_said_before_proves_nothing() {
        let key = Key::generate().unwrap();
        let (client, hello) = Client::greet(&key, [1, 2]).unwrap();
        let (_, challenge) = Server::challenge(&key, [2, 1], &hello).unwrap();
        let (answer, _) = client.answer(&challenge).unwrap();
        // The same hello and the same answer, to another challenge.
        let (server, _) = Server::challenge(&key, [2, 1], &hello).unwrap();
        assert!(server.check(&answer).is_err());
        // The same challenge, to another hello.
        let (client, _) = Client::greet(&key, [1, 2]).unwrap();
        assert!(client.answer(&challenge).is_err());
        // Its own words sent back to a client, or to a server.
        let (client, hello) = Client::greet(&key, [1, 2]).unwrap();
        let mut echoed = [0; CHALLENGE];
        echoed[..HELLO].copy_from_slice(&hello);
        assert!(client.answer(&echoed).is_err());
        let (server, challenge) = Server::challenge(&key, [2, 1], &hello).unwrap();
        let mut back = [0; ANSWER];
        back.copy_from_slice(&challenge[NONCE + TYPES..]);
        assert!(server.check(&back).is_err());
    }

    #[test]
    fn every_changed_bit_is_found_out() {
        let key = Key::generate().unwrap();
        for bit in 0..HELLO * 8 {
            let (client, mut hello) = Client::greet(&key, [1, 2]).unwrap();
            hello[bit / 8] ^= 1 << (bit % 8);
            let heard = Server::challenge(&key, [2, 1], &hello);
            assert!(heard.is_err() || client.answer(&heard.unwrap().1).is_err());
        }
        for bit in 0..CHALLENGE * 8 {
            let (client, hello) = Client::greet(&key, [1, 2]).unwrap();
            let (_, mut challenge) = Server::challenge(&key, [2, 1], &hello).unwrap();
            challenge[bit / 8] ^= 1 << (bit % 8);
            assert!(client.answer(&challenge).is_err());
        }
        for bit in 0..ANSWER * 8 {
            let (client, hello) = Client::greet(&key, [1, 2]).unwrap();
            let (server, challenge) = Server::challenge(&key, [2, 1], &hello).unwrap();
            let (mut answer, _) = client.answer(&challenge).unwrap();
            answer[bit / 8] ^= 1 << (bit % 8);
            assert!(server.check(&answer).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_forged_answer_is_believed(
            hello in prop::array::uniform32(any::<u8>()),
            answer in prop::array::uniform32(any::<u8>()),
        ) {
            let key = Key::generate().unwrap();
            let mut greeting = [7; HELLO];
            greeting[..8].copy_from_slice(&MARK);
            greeting[8..8 + NONCE].copy_from_slice(&hello);
            let (server, _) = Server::challenge(&key, [2, 1], &greeting).unwrap();
            prop_assert!(server.check(&answer).is_err());
        }
    }
}
