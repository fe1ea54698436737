//! How two sides that have the same key prove it to each other, without sending
//! it, and agree on keys for what they say.
//!
//! ```text
//! client                                                server
//!   │ hello: mark (8), e (32), tag (16)                    │
//!   ├─────────────────────────────────────────────────────▶│
//!   │ challenge: e (32), encrypted: types (16), tag (16)   │
//!   │◀─────────────────────────────────────────────────────┤
//!   │ proof: encrypted: types (16), tag (16)               │
//!   ├─────────────────────────────────────────────────────▶│
//! ```
//!
//! This is `Noise_NNpsk0_25519_ChaChaPoly_SHA256`: `e` is a Curve25519 key that is used for this
//! connection only, and the tags are right only if the key of both sides is the same. So what was
//! recorded cannot be read by anybody that learns the key later (forward secrecy), and a hello that
//! is sent again leads nowhere: only the proof, which is the first message of the connection, shows
//! that the client has the key and is there. Nothing is decoded before, and no length is announced:
//! each message has one. The mark is authenticated as Noise's prologue.
//!
//! # References
//! The Noise Protocol Framework, revision 34, §7.4, §9; RFC 7748; `docs/design.md`, "Connections
//! over the network".

use super::cipher::{Cipher, DirectionKey, TAG};
use super::key::Key;
use crate::name::random_bytes;
use crate::{Error, ErrorKind, Result};
use snow::params::NoiseParams;
use snow::{Builder, HandshakeState};

const SUITE: &str = "Noise_NNpsk0_25519_ChaChaPoly_SHA256";
const MARK: [u8; 8] = *b"procchn3";
const EPHEMERAL: usize = 32;
const TYPES: usize = 16;

/// Bytes of each message.
pub(crate) const HELLO: usize = MARK.len() + EPHEMERAL + TAG;
pub(crate) const CHALLENGE: usize = EPHEMERAL + TYPES + TAG;
pub(crate) const PROOF: usize = TYPES + TAG;

/// What a side sends and receives, as numbers for the shapes of the types.
pub(crate) type Types = [u64; 2];

/// What both sides know when they trust each other.
#[derive(Debug)]
pub(crate) struct Trust {
    pub(crate) to_server: Cipher,
    pub(crate) to_client: Cipher,
    /// Of the other side.
    pub(crate) types: Types,
}

/// The side that connects.
pub(crate) struct Client(Box<HandshakeState>);

/// The side that listens, after the client's hello.
pub(crate) struct Server {
    /// The ciphers of both directions, unless the hello was of another key.
    ciphers: Option<(Cipher, Cipher)>,
}

fn refused(why: &'static str) -> Error {
    Error::new(ErrorKind::PermissionDenied, "authenticating", "").because(why)
}

/// Begins with the key, as the one side or the other.
fn begin(
    key: &Key,
    build: fn(Builder<'_>) -> std::result::Result<HandshakeState, snow::Error>,
) -> Result<HandshakeState> {
    let suite: NoiseParams = SUITE.parse().expect("a suite that exists");
    let psk = key.pre_shared();
    let builder = Builder::new(suite)
        .psk(0, &psk)
        .and_then(|builder| builder.prologue(&MARK));
    builder.and_then(build).map_err(|error| {
        // The system has no random numbers.
        Error::new(ErrorKind::Other, "authenticating", "").because(error.to_string())
    })
}

/// What the handshake ends with: the ciphers of both directions.
fn split(mut state: HandshakeState) -> (Cipher, Cipher) {
    let (to_server, to_client) = state.dangerously_get_raw_split();
    let (to_server, to_client) = (DirectionKey::new(to_server), DirectionKey::new(to_client));
    (Cipher::new(&to_server), Cipher::new(&to_client))
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

impl Client {
    /// Returns the first message.
    pub(crate) fn greet(key: &Key) -> Result<(Client, [u8; HELLO])> {
        let mut state = begin(key, |builder| builder.build_initiator())?;
        let mut hello = [0; HELLO];
        hello[..MARK.len()].copy_from_slice(&MARK);
        let written = state.write_message(&[], &mut hello[MARK.len()..]);
        let written = written.map_err(|_| refused("no random numbers"))?;
        debug_assert_eq!(written, HELLO - MARK.len());
        Ok((Client(Box::new(state)), hello))
    }

    /// Checks the server's proof, and returns the client's.
    pub(crate) fn answer(
        mut self,
        challenge: &[u8; CHALLENGE],
        types: Types,
    ) -> Result<([u8; PROOF], Trust)> {
        let mut theirs = [0; TYPES];
        let read = self.0.read_message(challenge, &mut theirs);
        read.map_err(|_| {
            refused("the other side has another key, or is no listener of this library")
        })?;
        let (mut to_server, to_client) = split(*self.0);
        let mut proof = [0; PROOF];
        proof[..TYPES].copy_from_slice(&bytes_of(types));
        let tag = to_server.encrypt(&mut proof[..TYPES]);
        proof[TYPES..].copy_from_slice(&tag);
        let trust = Trust {
            to_server,
            to_client,
            types: types_of(&theirs),
        };
        Ok((proof, trust))
    }
}

impl Server {
    /// Checks that a client that has the key wrote the hello, some time; returns what proves
    /// that this side has it.
    ///
    /// A client with another key is sent random bytes, so that it finds out that the keys differ
    /// instead of a connection that ends.
    ///
    /// # Errors
    /// It speaks another protocol.
    pub(crate) fn challenge(
        key: &Key,
        types: Types,
        hello: &[u8; HELLO],
    ) -> Result<(Server, [u8; CHALLENGE])> {
        let (mark, ephemeral) = hello.split_at(MARK.len());
        if mark != MARK {
            return Err(refused("it speaks another protocol"));
        }
        let mut state = begin(key, |builder| builder.build_responder())?;
        if state.read_message(ephemeral, &mut []).is_err() {
            return Ok((Server { ciphers: None }, random_bytes()?));
        }
        let mut challenge = [0; CHALLENGE];
        let written = state.write_message(&bytes_of(types), &mut challenge);
        let written = written.map_err(|_| refused("no random numbers"))?;
        debug_assert_eq!(written, CHALLENGE);
        let ciphers = Some(split(state));
        Ok((Server { ciphers }, challenge))
    }

    /// Checks the client's proof.
    pub(crate) fn check(self, proof: &[u8; PROOF]) -> Result<Trust> {
        let other_key = || refused("it has another key");
        let (mut to_server, to_client) = self.ciphers.ok_or_else(other_key)?;
        let mut proof = *proof;
        let types = to_server.decrypt(&mut proof).ok_or_else(other_key)?;
        Ok(Trust {
            types: types_of(types),
            to_server,
            to_client,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(server_key: &Key, client_key: &Key) -> Result<(Trust, Trust)> {
        let (client, hello) = Client::greet(client_key)?;
        let (server, challenge) = Server::challenge(server_key, [2, 1], &hello)?;
        let (proof, of_client) = client.answer(&challenge, [1, 2])?;
        Ok((server.check(&proof)?, of_client))
    }

    /// What a direction makes of some words.
    fn encrypted(cipher: &Cipher) -> [u8; 5 + TAG] {
        let mut message = *b"words";
        let tag = cipher.clone().encrypt(&mut message);
        let mut sent = [0; 5 + TAG];
        sent[..5].copy_from_slice(&message);
        sent[5..].copy_from_slice(&tag);
        sent
    }

    #[test]
    fn two_who_have_the_key_come_to_the_same_keys() {
        let key = Key::generate().unwrap();
        let (server, client) = whole(&key, &key).unwrap();
        assert_eq!(encrypted(&server.to_server), encrypted(&client.to_server));
        assert_eq!(encrypted(&server.to_client), encrypted(&client.to_client));
        assert_ne!(encrypted(&server.to_client), encrypted(&client.to_server));
        assert_eq!((server.types, client.types), ([1, 2], [2, 1]));
        // And to others each time: the key alone does not decrypt what was recorded.
        let (again, _) = whole(&key, &key).unwrap();
        assert_ne!(encrypted(&again.to_server), encrypted(&server.to_server));
    }

    #[test]
    fn keys_of_any_length_that_differ_at_the_end_differ() {
        let mut long = [7; 100];
        let one = Key::from_bytes(&long).unwrap();
        long[99] ^= 1;
        let other = Key::from_bytes(&long).unwrap();
        assert!(whole(&one, &one).is_ok());
        assert!(whole(&one, &other).is_err());
        assert!(whole(&one, &Key::from_bytes(&[7; 32]).unwrap()).is_err());
    }

    #[test]
    fn another_key_is_found_out_by_both() {
        let (one, other) = (Key::generate().unwrap(), Key::generate().unwrap());
        let (client, hello) = Client::greet(&other).unwrap();
        let (server, challenge) = Server::challenge(&one, [2, 1], &hello).unwrap();
        assert!(client.answer(&challenge, [1, 2]).is_err());
        assert!(server.check(&[0; PROOF]).is_err());
        // A listener cannot answer a hello that it has recorded.
        let (client, _) = Client::greet(&other).unwrap();
        let (_, of_one) = Client::greet(&one).unwrap();
        let (_, challenge) = Server::challenge(&one, [2, 1], &of_one).unwrap();
        assert!(client.answer(&challenge, [1, 2]).is_err());
        // Whoever has not the key can answer only by chance.
        let (_, hello) = Client::greet(&one).unwrap();
        let (server, _) = Server::challenge(&one, [2, 1], &hello).unwrap();
        assert!(server.check(&[0; PROOF]).is_err());
    }

    #[test]
    fn what_was_said_before_proves_nothing() {
        let key = Key::generate().unwrap();
        let (client, hello) = Client::greet(&key).unwrap();
        let (_, challenge) = Server::challenge(&key, [2, 1], &hello).unwrap();
        let (proof, _) = client.answer(&challenge, [1, 2]).unwrap();
        // The same hello and the same proof, to another challenge.
        let (server, _) = Server::challenge(&key, [2, 1], &hello).unwrap();
        assert!(server.check(&proof).is_err());
        // The same challenge, to another hello.
        let (client, _) = Client::greet(&key).unwrap();
        assert!(client.answer(&challenge, [1, 2]).is_err());
        // Its own words sent back to a client, or to a server.
        let (client, hello) = Client::greet(&key).unwrap();
        let mut echoed = [0; CHALLENGE];
        echoed[..HELLO - MARK.len()].copy_from_slice(&hello[MARK.len()..]);
        assert!(client.answer(&echoed, [1, 2]).is_err());
        let (server, challenge) = Server::challenge(&key, [2, 1], &hello).unwrap();
        let mut back = [0; PROOF];
        back.copy_from_slice(&challenge[EPHEMERAL..]);
        assert!(server.check(&back).is_err());
    }

    #[test]
    fn every_changed_bit_is_found_out() {
        let key = Key::generate().unwrap();
        for bit in 0..HELLO * 8 {
            let (client, mut hello) = Client::greet(&key).unwrap();
            hello[bit / 8] ^= 1 << (bit % 8);
            // The highest bit of a Curve25519 key is not looked at, but it is authenticated.
            let Ok((_, challenge)) = Server::challenge(&key, [2, 1], &hello) else {
                assert!(bit < MARK.len() * 8, "bit {bit}");
                continue;
            };
            assert!(client.answer(&challenge, [1, 2]).is_err(), "bit {bit}");
        }
        for bit in 0..CHALLENGE * 8 {
            let (client, hello) = Client::greet(&key).unwrap();
            let (_, mut challenge) = Server::challenge(&key, [2, 1], &hello).unwrap();
            challenge[bit / 8] ^= 1 << (bit % 8);
            assert!(client.answer(&challenge, [1, 2]).is_err());
        }
        for bit in 0..PROOF * 8 {
            let (client, hello) = Client::greet(&key).unwrap();
            let (server, challenge) = Server::challenge(&key, [2, 1], &hello).unwrap();
            let (mut proof, _) = client.answer(&challenge, [1, 2]).unwrap();
            proof[bit / 8] ^= 1 << (bit % 8);
            assert!(server.check(&proof).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_forged_message_is_believed(
            ephemeral: [u8; EPHEMERAL],
            tag: [u8; TAG],
            proof: [u8; PROOF],
        ) {
            let key = Key::generate().unwrap();
            let forged = [&MARK[..], &ephemeral, &tag].concat().try_into().unwrap();
            let (server, _) = Server::challenge(&key, [2, 1], &forged).unwrap();
            prop_assert!(server.check(&proof).is_err());
            let (_, hello) = Client::greet(&key).unwrap();
            let (server, _) = Server::challenge(&key, [2, 1], &hello).unwrap();
            prop_assert!(server.check(&proof).is_err());
        }
    }
}
