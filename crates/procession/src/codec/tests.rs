use super::encode::CHUNK;
use super::*;
use crate::ErrorKind;
use crate::Handle;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::File;

fn round_trip<T: Serialize + DeserializeOwned>(value: &T) -> T {
    let Encoded { body, descriptors } = encode(value).unwrap();
    let arrived = match body {
        Body::Inline(bytes) => Arrived::Inline(bytes),
        Body::Memory(file) => open_memory(&file).unwrap(),
    };
    decode(&arrived, descriptors).unwrap()
}

#[test]
fn lengths_around_every_boundary_come_back() {
    for boundary in [0, MAX_INLINE, CHUNK, 3 * CHUNK] {
        for length in boundary.saturating_sub(12)..boundary + 3 {
            let value: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
            assert_eq!(round_trip(&value), value, "{length} bytes, one by one");
            let value = serde_bytes::ByteBuf::from(value);
            assert_eq!(round_trip(&value), value, "{length} bytes at once");
        }
    }
}

/// Much of what serde knows.
#[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize)]
enum Much {
    Nothing,
    One(Box<Much>),
    Two(i8, u128),
    Named { a: Option<Vec<i64>>, b: [char; 3] },
    Map(std::collections::BTreeMap<String, (f32, bool, ())>),
}

fn much() -> impl Strategy<Value = Much> {
    let leaf = prop_oneof![
        Just(Much::Nothing),
        any::<(i8, u128)>().prop_map(|(a, b)| Much::Two(a, b)),
        any::<(Option<Vec<i64>>, [char; 3])>().prop_map(|(a, b)| Much::Named { a, b }),
        prop::collection::btree_map(
            any::<String>(),
            (-9_f32..9.0, any::<bool>(), Just(())),
            0..4
        )
        .prop_map(Much::Map),
    ];
    leaf.prop_recursive(3, 8, 1, |inner| {
        inner.prop_map(|much| Much::One(Box::new(much)))
    })
}

#[test]
fn a_descriptor_refused_outside_a_message_says_why() {
    let file = Handle::new(File::open("/dev/null").unwrap());
    assert!(postcard::to_stdvec(&file).is_err());
}

#[test]
fn bytes_or_descriptors_too_many_are_an_error() {
    assert!(decode::<u8>(&[1, 2], Vec::new()).is_err());
    let file = File::open("/dev/null").unwrap();
    let error = decode::<u8>(&[1], vec![file.into()]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[test]
fn a_place_is_taken_once() {
    let file = File::open("/dev/null").unwrap();
    let twice = decode::<(Handle<File>, Handle<File>)>(&[0, 0], vec![file.into()]);
    assert_eq!(twice.unwrap_err().kind(), ErrorKind::Corrupt);
}

proptest! {
    #[test]
    fn both_readers_read_the_same(values in prop::collection::vec(much(), 0..5), cut: usize) {
        let bytes = postcard::to_stdvec(&values).unwrap();
        let (read, rest) = reader::take::<Vec<Much>>(&bytes).unwrap();
        prop_assert_eq!(&read, &values);
        prop_assert!(rest.is_empty());
        prop_assert!(refusal::of_encoding(&values).is_none());
        let short = &bytes[..cut % bytes.len()];
        prop_assert_eq!(
            reader::take::<Vec<Much>>(short).ok(),
            postcard::take_from_bytes::<Vec<Much>>(short).ok()
        );
    }

    #[test]
    fn both_readers_refuse_the_same(bytes: Vec<u8>) {
        prop_assert_eq!(
            reader::take::<Vec<Much>>(&bytes).ok(),
            postcard::take_from_bytes::<Vec<Much>>(&bytes).ok()
        );
    }

    #[test]
    fn any_bytes_decode_or_fail_and_never_panic(bytes: Vec<u8>) {
        let _ = decode::<Vec<(String, Option<u64>, Handle<File>)>>(&bytes, Vec::new());
    }

    #[test]
    fn values_come_back(value: Vec<(String, Option<i64>, Vec<f64>, char)>) {
        let equal = |a: &f64, b: &f64| a.to_bits() == b.to_bits();
        let back = round_trip(&value);
        prop_assert_eq!(back.len(), value.len());
        for (a, b) in back.iter().zip(&value) {
            prop_assert_eq!((&a.0, a.1, a.3), (&b.0, b.1, b.3));
            prop_assert!(a.2.iter().zip(&b.2).all(|(a, b)| equal(a, b)));
        }
    }
}
