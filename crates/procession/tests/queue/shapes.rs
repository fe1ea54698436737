//! What messages are: which types of two programs are one.

use procession::queue::{self, Options, Receiver, Sender};
use procession::{ErrorKind, process};
use serde::{Deserialize, Serialize};

mod first {
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    pub(super) struct Job {
        pub(super) id: u64,
        pub(super) size: u64,
        pub(super) how: How,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    pub(super) enum How {
        Once,
        Again { times: u8 },
    }
}

/// As another program has it.
mod second {
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    pub(super) struct Work {
        pub(super) id: u64,
        pub(super) size: u64,
        pub(super) how: Manner,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    pub(super) enum Manner {
        Once,
        Again { times: u8 },
    }
}

macro_rules! version {
    ($name:ident: { $($field:ident: $type:ty),* } $variants:tt) => {
        mod $name {
            #[derive(Debug, serde::Serialize, serde::Deserialize)]
            pub(super) struct Job { $(pub(super) $field: $type),* }
            #[derive(Debug, serde::Serialize, serde::Deserialize)]
            pub(super) enum How $variants
        }
    };
}
version!(swapped: { size: u64, id: u64, how: How } { Once, Again { times: u8 } });
version!(renamed: { number: u64, size: u64, how: How } { Once, Again { times: u8 } });
version!(wider: { id: u64, size: u128, how: How } { Once, Again { times: u8 } });
version!(signed: { id: u64, size: i64, how: How } { Once, Again { times: u8 } });
version!(longer: { id: u64, size: u64, how: How, more: u8 } { Once, Again { times: u8 } });
version!(perhaps: { id: u64, size: Option<u64>, how: How } { Once, Again { times: u8 } });
version!(variants: { id: u64, size: u64, how: How } { Again { times: u8 }, Once });
version!(inside: { id: u64, size: u64, how: How } { Once, Again { times: u16 } });

fn job() -> first::Job {
    first::Job {
        id: 1,
        size: 2,
        how: first::How::Again { times: 3 },
    }
}

pub(crate) fn programs_with_one_shape_talk_and_others_are_refused() {
    let (sender, _receiver) = queue::create::<first::Job>("shapes", 4).unwrap();
    let (_, receiver) = queue::open::<second::Work>("shapes").unwrap();
    sender.send(job()).unwrap();
    let arrived = second::Work {
        id: 1,
        size: 2,
        how: second::Manner::Again { times: 3 },
    };
    assert_eq!(receiver.recv().unwrap(), arrived);
    macro_rules! refused {
        ($($version:ident),*) => {$(
            let error = queue::open::<$version::Job>("shapes").map(drop);
            let error = error.expect_err(stringify!($version));
            assert_eq!(error.kind(), ErrorKind::Incompatible, "{error}");
            let text = error.to_string();
            // What it is here, and what can be done.
            assert!(text.contains(concat!(stringify!($version), "::Job")), "{text}");
            assert!(text.contains("how: <"), "{text}");
            assert!(error.hint().unwrap().contains("schema"), "{error:?}");
            queue::open_or_create::<$version::Job>("shapes", 4).map(drop).unwrap_err();
        )*};
    }
    refused!(
        swapped, renamed, wider, signed, longer, perhaps, variants, inside
    );
}

pub(crate) fn a_schema_stands_for_the_shape() {
    let one = Options::new().schema("jobs", 1);
    let (sender, _receiver) = one.capacity(4).create::<first::Job>("schema").unwrap();
    let (_, receiver) = one.open::<renamed::Job>("schema").unwrap();
    sender.send(job()).unwrap();
    assert_eq!(receiver.recv().unwrap().number, 1);
    for error in [
        queue::open::<first::Job>("schema").map(drop).unwrap_err(),
        Options::new()
            .schema("jobs", 2)
            .open::<first::Job>("schema")
            .map(drop)
            .unwrap_err(),
        Options::new()
            .schema("others", 1)
            .capacity(4)
            .open_or_create::<first::Job>("schema")
            .map(drop)
            .unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Incompatible, "{error}");
    }
    // A handle brings it along.
    fn work((receiver, answers): (Receiver<renamed::Job>, Sender<u64>)) {
        answers.send(receiver.recv().unwrap().number).unwrap();
    }
    let (answers, answered) = one.capacity(1).anonymous::<u64>().unwrap();
    sender.send(job()).unwrap();
    let mut worker = process::spawn(work, (receiver, answers)).unwrap();
    assert_eq!(answered.recv().unwrap(), 1);
    worker.join().unwrap();
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(u64),
    Text(String),
}

#[derive(Debug, Serialize, Deserialize)]
struct Flat {
    id: u64,
    #[serde(flatten)]
    rest: std::collections::BTreeMap<String, u64>,
}

pub(crate) fn what_describes_itself_is_refused_when_the_queue_is_made() {
    let made = [
        queue::bounded::<Untagged>(1).map(drop),
        queue::bounded::<Flat>(1).map(drop),
        queue::bounded::<Vec<Option<serde_json::Value>>>(1).map(drop),
        queue::create::<(u8, Untagged)>("untagged", 1).map(drop),
        queue::prioritized::<Flat>(1, 2).map(drop),
    ];
    for outcome in made {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains("untagged"), "{error}");
        assert!(error.hint().unwrap().contains("encode yourself"));
    }
    // And where there is no queue to be made: at the first use.
    for value in [Untagged::Number(1), Untagged::Text(String::new())] {
        let outcome = process::spawn(|_: Untagged| (), value)
            .and_then(|mut task| task.join().map_err(procession::Error::from));
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    }
    let flat = Flat {
        id: 1,
        rest: [("a".to_owned(), 2)].into(),
    };
    assert_eq!(flat.rest["a"] + flat.id, 3);
    let error = process::spawn(|_: Flat| (), flat).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}

/// Says where to answer, and can be answered in kind.
#[derive(Debug, Serialize, Deserialize)]
struct Call {
    number: u64,
    answer: Option<Sender<Call>>,
    inner: Vec<Call>,
}

pub(crate) fn a_message_with_handles_of_its_own_kind_has_a_shape() {
    let (calls, called) = queue::bounded::<Call>(2).unwrap();
    let (answers, answered) = queue::bounded::<Call>(2).unwrap();
    let call = |number, answer| Call {
        number,
        answer,
        inner: Vec::new(),
    };
    let first = Call {
        inner: vec![call(7, None)],
        ..call(1, Some(answers))
    };
    calls.send(first).unwrap();
    let got = called.recv().unwrap();
    assert_eq!((got.number, got.inner[0].number), (1, 7));
    got.answer.unwrap().send(call(2, None)).unwrap();
    assert_eq!(answered.recv().unwrap().number, 2);
}
