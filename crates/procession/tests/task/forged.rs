//! Data that names code which nobody of the family has named so.

use crate::by;
use crate::entry::fixture;
use procession::process::{self, StartMethod, Task};
use procession::{ErrorKind, Handle, queue};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::os::fd::OwnedFd;
use std::process::Stdio;

fn double(number: u64) -> u64 {
    2 * number
}

fn sum(numbers: Vec<u64>) -> u64 {
    numbers.iter().sum()
}

#[process::task(name = "forged-triple")]
fn triple(number: u64) -> u64 {
    3 * number
}

/// A task as it lies in a message.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Raw {
    function: RawFunction,
    types: String,
    bytes: Vec<u8>,
    descriptors: Vec<RawDescriptor>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum RawFunction {
    Here {
        build: Vec<u8>,
        trampoline: u64,
        target: u64,
        types: u64,
        seal: u64,
    },
    Named(String),
}

#[derive(Clone, Debug)]
enum RawDescriptor {}

impl Serialize for RawDescriptor {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        match *self {}
    }
}

impl<'de> Deserialize<'de> for RawDescriptor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Handle::<OwnedFd>::deserialize(deserializer)?;
        Err(serde::de::Error::custom("there is none"))
    }
}

/// Is written as one thing and read as another: what somebody does who writes the
/// bytes of a message by himself.
struct Through<S, D>(Option<S>, Option<D>);

impl<S: Serialize, D> Serialize for Through<S, D> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, S, D: Deserialize<'de>> Deserialize<'de> for Through<S, D> {
    fn deserialize<Z: Deserializer<'de>>(deserializer: Z) -> Result<Self, Z::Error> {
        Ok(Through(None, Option::deserialize(deserializer)?))
    }
}

/// What arrives where this is read as something else.
fn read_as<S, D>(written: S) -> procession::Result<D>
where
    S: Serialize + serde::de::DeserializeOwned,
    D: Serialize + serde::de::DeserializeOwned,
{
    let (sender, receiver) = queue::bounded::<Through<S, D>>(1)?;
    sender.send(Through(Some(written), None)).unwrap();
    match receiver.recv() {
        Ok(Through(_, read)) => Ok(read.unwrap()),
        Err(queue::RecvError::Failed(error)) => Err(error),
        Err(other) => panic!("{other}"),
    }
}

fn raw<A, R>(task: Task<A, R>) -> Raw
where
    A: Serialize + serde::de::DeserializeOwned,
    R: Serialize + serde::de::DeserializeOwned,
{
    read_as(task).unwrap()
}

pub(crate) fn a_task_is_what_the_family_has_put_together() {
    let honest = raw(Task::<u64, u64>::new(double).unwrap());
    let task: Task<u64, u64> = read_as(honest.clone()).unwrap();
    assert_eq!(
        process::spawn_task(&task, 21).unwrap().join().unwrap(),
        42,
        "untouched, it is as good as before"
    );
    let other = raw(Task::<Vec<u64>, u64>::new(sum).unwrap());
    let parts = |raw: &Raw| match &raw.function {
        RawFunction::Here {
            trampoline,
            target,
            types,
            seal,
            ..
        } => [*trampoline, *target, *types, *seal],
        RawFunction::Named(name) => panic!("{name}"),
    };
    let (ours, theirs) = (parts(&honest), parts(&other));
    // Each mixture of two honest tasks that says to be of the one's types, but that
    // which is the one.
    for mixture in 1..16_u8 {
        let pick = |part: usize| match mixture & 1 << part {
            0 => ours[part],
            _ => theirs[part],
        };
        refused(&honest, [pick(0), pick(1), pick(2), pick(3)]);
    }
    // And each bit of it.
    for part in 0..4 {
        for bit in 0..64 {
            let mut changed = ours;
            changed[part] ^= 1 << bit;
            refused(&honest, changed);
        }
    }
    for build in [Vec::new(), vec![0; 20]] {
        let mut changed = honest.clone();
        if let RawFunction::Here { build: old, .. } = &mut changed.function {
            *old = build;
        }
        let error = read_as::<Raw, Task<u64, u64>>(changed).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Untrusted, "{error}");
    }
}

fn refused(honest: &Raw, [trampoline, target, types, seal]: [u64; 4]) {
    let mut changed = honest.clone();
    if let RawFunction::Here { build, .. } = &honest.function {
        changed.function = RawFunction::Here {
            build: build.clone(),
            trampoline,
            target,
            types,
            seal,
        };
    }
    let error = read_as::<Raw, Task<u64, u64>>(changed).unwrap_err();
    let kinds = [ErrorKind::Untrusted, ErrorKind::Incompatible];
    assert!(kinds.contains(&error.kind()), "{error}");
}

pub(crate) fn a_name_stands_for_a_listed_function_of_its_type() {
    let named = raw(Task::<u64, u64>::named("forged-triple").unwrap());
    let task: Task<u64, u64> = read_as(named.clone()).unwrap();
    assert_eq!(process::spawn_task(&task, 5).unwrap().join().unwrap(), 15);
    let with = |name: &str, types: &str| Raw {
        function: RawFunction::Named(name.to_owned()),
        types: types.to_owned(),
        ..named.clone()
    };
    let error = read_as::<_, Task<u64, u64>>(with("absent", &named.types)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let types = std::any::type_name::<fn(String) -> u64>();
    let error = read_as::<_, Task<String, u64>>(with("forged-triple", types)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible, "{error}");
    let error = read_as::<_, Task<u64, u64>>(with("forged-triple", types)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible, "{error}");
}

pub(crate) fn other_formats_do_not_carry_tasks() {
    let offset = 2;
    let task = procession::task!([offset] |number: u64| number + offset);
    let why = "tasks travel only in messages";
    let error = serde_json::to_string(&task).unwrap_err();
    assert!(error.to_string().contains(why), "{error}");
    let json = serde_json::to_string(&raw(task)).unwrap();
    let error = serde_json::from_str::<Task<u64, u64>>(&json).unwrap_err();
    assert!(error.to_string().contains(why), "{error}");
    let bytes = [0; 64];
    let mut reader = &bytes[..];
    let error = serde_json::from_reader::<_, Task<u64, u64>>(&mut reader).unwrap_err();
    assert!(!error.to_string().is_empty());
}

/// A message that has text inside, in another format: the codec is at work then, too.
#[derive(Debug, Serialize, Deserialize)]
struct WithText(String);

struct Inside(procession::Result<Task<u64, u64>>);

impl Serialize for Inside {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let task = self.0.as_ref().map_err(serde::ser::Error::custom)?;
        let mut text = serde_json::to_value(task).map_err(serde::ser::Error::custom)?;
        let seal = &mut text["function"]["Here"]["seal"];
        *seal = (seal.as_u64().unwrap_or(0) ^ 1).into();
        WithText(text.to_string()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Inside {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Inside, D::Error> {
        let text = WithText::deserialize(deserializer)?;
        let task = serde_json::from_str(&text.0).map_err(serde::de::Error::custom)?;
        Ok(Inside(Ok(task)))
    }
}

pub(crate) fn text_inside_a_message_names_no_code() {
    let (sender, receiver) = queue::bounded::<Inside>(1).unwrap();
    sender.send(Inside(Task::new(double))).unwrap();
    match receiver.recv() {
        Err(queue::RecvError::Failed(error)) => {
            assert_eq!(error.kind(), ErrorKind::Untrusted, "{error}");
        }
        other => panic!("{:?}", other.map(drop)),
    }
}

const QUEUE: &str = "forged-tasks";

/// In another execution of this program: offers tasks to whoever has the queue.
pub(crate) fn offer_tasks() {
    let (sender, _) = queue::open::<Task<u64, u64>>(QUEUE).unwrap();
    sender.send(Task::new(double).unwrap()).unwrap();
    sender.send(Task::named("forged-triple").unwrap()).unwrap();
}

pub(crate) fn a_task_of_another_execution_is_refused_unless_it_has_a_name() {
    let (_sender, receiver) = queue::create::<Task<u64, u64>>(QUEUE, 4).unwrap();
    let mut other = fixture("offer-tasks");
    let status = other.stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "{status}");
    match receiver.recv() {
        Err(queue::RecvError::Failed(error)) => {
            assert_eq!(error.kind(), ErrorKind::Untrusted, "{error}");
            assert!(error.hint().unwrap().contains("named"), "{error:?}");
        }
        other => panic!("{other:?}"),
    }
    let task = receiver.recv().unwrap();
    assert_eq!(process::spawn_task(&task, 5).unwrap().join().unwrap(), 15);
}

pub(crate) fn tasks_travel_all_over_the_family(method: StartMethod) {
    let task = Task::<u64, u64>::new(double).unwrap();
    let mut child = by(method)
        .spawn(
            |task: Task<u64, u64>| {
                let answer = process::spawn_task(&task, 4).unwrap().join().unwrap();
                (answer, Task::<u64, u64>::new(triple).unwrap())
            },
            task,
        )
        .unwrap();
    let (answer, back) = child.join().unwrap();
    assert_eq!(answer, 8);
    assert_eq!(by(method).spawn_task(&back, 4).unwrap().join().unwrap(), 12);
}
