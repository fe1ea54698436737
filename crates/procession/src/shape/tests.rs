use super::*;
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};

fn shape<T: serde::de::DeserializeOwned>() -> String {
    of::<T>().unwrap().text().to_owned()
}

#[derive(Debug, Serialize, Deserialize)]
struct Job {
    id: u64,
    name: String,
    at: Option<(f64, f64)>,
    tags: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
enum Order {
    Stop,
    Work(u64),
    Both(u8, i128),
    Move { by: i32, job: Job },
}

#[derive(Debug, Serialize, Deserialize)]
struct Meters(f64);

#[derive(Debug, Serialize, Deserialize)]
struct Nothing;

#[derive(Debug, Serialize, Deserialize)]
struct Pair(u8, Meters);

#[test]
fn a_shape_says_names_types_order_and_nesting() {
    let job = "{id: u64, name: str, at: (f64 × 2)?, tags: [str]}";
    assert_eq!(shape::<Job>(), job);
    assert_eq!(
        shape::<Order>(),
        format!("<Stop | Work(u64) | Both(u8, i128) | Move{{by: i32, job: {job}}}>")
    );
    assert_eq!(shape::<(Order, Order)>().matches("Stop").count(), 1);
    assert_eq!(shape::<Pair>(), "Pair(u8, Meters(f64))");
    assert_eq!(shape::<Nothing>(), "Nothing");
    assert_eq!(shape::<BTreeMap<String, Vec<bool>>>(), "{str => [bool]}");
    assert_eq!(shape::<HashSet<char>>(), "[char]");
    assert_eq!(shape::<[u64; 32]>(), "(u64 × 32)");
    assert_eq!(shape::<(u8, u8, u16)>(), "(u8 × 2, u16)");
    assert_eq!(shape::<std::result::Result<u8, ()>>(), "<Ok(u8) | Err(())>");
    assert_eq!(shape::<serde_bytes::ByteBuf>(), "bytes");
    assert_eq!(shape::<Box<Option<Option<u8>>>>(), "u8??");
    assert_eq!(shape::<()>(), "()");
}

#[derive(Debug, Serialize, Deserialize)]
struct List {
    value: u8,
    next: Option<Box<List>>,
}

#[derive(Debug, Serialize, Deserialize)]
enum Term {
    Sum(Box<Term>, Box<Term>),
    Call { name: String, arguments: Vec<Term> },
    Number(std::num::NonZeroI64),
}

#[derive(Debug, Serialize, Deserialize)]
struct Tree {
    leaves: BTreeMap<String, Tree>,
    forest: Vec<Forest>,
}

#[derive(Debug, Serialize, Deserialize)]
enum Forest {
    Of(Box<Tree>),
    None,
}

/// There is no value of it.
#[derive(Debug, Serialize, Deserialize)]
struct Endless {
    next: Box<Endless>,
}

#[test]
fn recursion_ends() {
    assert_eq!(shape::<List>(), "{value: u8, next: ^1?}");
    assert_eq!(
        shape::<Term>(),
        "<Sum(^1 × 2) | Call{name: str, arguments: [^1]} | Number(i64)>"
    );
    assert_eq!(
        shape::<Tree>(),
        "{leaves: {str => ^1}, forest: [<Of(^2) | None>]}"
    );
    assert_eq!(shape::<Endless>(), "{next: ^1}");
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(try_from = "u64")]
struct Even(u64);

impl TryFrom<u64> for Even {
    type Error = &'static str;
    fn try_from(number: u64) -> std::result::Result<Even, &'static str> {
        match number % 2 {
            0 if number > 0 => Ok(Even(number)),
            _ => Err("odd or nothing"),
        }
    }
}

#[derive(Debug)]
struct Never;

impl<'de> Deserialize<'de> for Never {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Never, D::Error> {
        u16::deserialize(from)?;
        Err(serde::de::Error::custom("never"))
    }
}

#[derive(Debug)]
struct Panics;

impl<'de> Deserialize<'de> for Panics {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Panics, D::Error> {
        u16::deserialize(from)?;
        std::panic::resume_unwind(Box::new("made up"))
    }
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
enum Some2 {
    Bad(Never),
    Good(()),
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Holds<T> {
    before: u8,
    it: T,
    after: u8,
}

#[test]
fn types_that_refuse_show_what_they_can() {
    let number = "{before: u8, it: u64, after: u8}";
    assert_eq!(shape::<Holds<Even>>(), number);
    assert_eq!(shape::<Holds<std::num::NonZeroU64>>(), number);
    assert_eq!(
        shape::<Holds<std::net::Ipv4Addr>>(),
        "{before: u8, it: (u8 × 4), after: u8}"
    );
    assert_eq!(
        shape::<Holds<Never>>(),
        "{before: u8, it: u16, after: …}",
        "names are seen all the same"
    );
    assert_eq!(
        shape::<Holds<Option<Never>>>(),
        "{before: u8, it: u16?, after: u8}"
    );
    assert_eq!(
        shape::<Holds<Vec<Never>>>(),
        "{before: u8, it: [u16], after: u8}"
    );
    assert_eq!(
        shape::<Holds<Some2>>(),
        "{before: u8, it: <Bad(u16) | Good(())>, after: u8}"
    );
    assert!(shape::<Holds<Panics>>().starts_with("{before: u8, it: u16"));
}

#[test]
fn what_is_of_the_system_is_not_touched() {
    type File = crate::Handle<std::fs::File>;
    assert_eq!(
        shape::<Holds<File>>(),
        "{before: u8, it: descriptor, after: u8}"
    );
    // While somebody else's descriptors are at hand.
    let file = std::fs::File::open("/proc/self/stat").unwrap();
    let encoded = codec::encode(&crate::Handle::new(file)).unwrap();
    #[derive(Debug)]
    struct Looks(File);
    impl<'de> Deserialize<'de> for Looks {
        fn deserialize<D: serde::Deserializer<'de>>(
            from: D,
        ) -> std::result::Result<Looks, D::Error> {
            of::<(File, File, u8)>().unwrap();
            File::deserialize(from).map(Looks)
        }
    }
    let codec::Body::Inline(bytes) = encoded.body else {
        panic!("it is short");
    };
    let Looks(file) = codec::decode(&bytes, encoded.descriptors).unwrap();
    assert!(file.metadata().unwrap().is_file());
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Untagged {
    _Number(()),
    _Text(()),
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    _One { _a: u8 },
    _Two { _b: u8 },
}

#[derive(Debug, Deserialize)]
struct Flat {
    _a: u8,
    #[serde(flatten)]
    _rest: Holds<u8>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind", content = "value")]
enum Beside {
    _One(()),
    _Two { _b: u16 },
}

#[test]
fn what_describes_itself_is_refused_with_the_reason() {
    for error in [
        of::<Untagged>().unwrap_err(),
        of::<Tagged>().unwrap_err(),
        of::<Flat>().unwrap_err(),
        of::<Beside>().unwrap_err(),
        of::<serde_json::Value>().unwrap_err(),
        of::<Vec<Option<Holds<serde_json::Value>>>>().unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("untagged"), "{error}");
        assert!(error.hint().is_some());
    }
}

#[test]
fn versions_and_orders_have_other_prints_and_other_names_have_not() {
    mod other {
        #[derive(serde::Deserialize)]
        pub(super) struct Task {
            pub(super) _id: u64,
            pub(super) _size: u64,
        }
        #[derive(serde::Deserialize)]
        pub(super) struct Swapped {
            pub(super) _size: u64,
            pub(super) _id: u64,
        }
    }
    #[derive(Deserialize)]
    struct Work {
        _id: u64,
        _size: u64,
    }
    let text = |shape: Result<&'static Shape>| shape.unwrap().text();
    assert_eq!(text(of::<Work>()), text(of::<other::Task>()));
    assert_ne!(text(of::<Work>()), text(of::<other::Swapped>()));
    assert_ne!(text(of::<Meters>()), text(of::<f64>()));
}
