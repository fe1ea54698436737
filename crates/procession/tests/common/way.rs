//! How arguments reach the tasks of a body, beside the methods of starting them.

use crate::elsewhere;
use procession::process::{Builder, JoinHandle, StartMethod};
use procession::queue;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use testkit::Test;

/// How arguments reach the tasks of the body that this process runs, if not as they are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// In a message that this process has received: handles among them are second ones.
    Received,
    /// To where other namespaces are.
    Elsewhere,
}

static WAY: OnceLock<Way> = OnceLock::new();

/// Starts a task.
pub(crate) fn start<A, R>(method: StartMethod, function: fn(A) -> R, argument: A) -> JoinHandle<R>
where
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    let builder = Builder::new().start_method(method);
    match WAY.get() {
        Some(Way::Received) => {
            let (sender, receiver) = queue::bounded(1).unwrap();
            sender.send(argument).unwrap();
            builder.spawn(function, receiver.recv().unwrap()).unwrap()
        }
        Some(Way::Elsewhere) => {
            let argument = (function as usize, argument);
            builder.spawn(call_elsewhere, argument).unwrap()
        }
        None => builder.spawn(function, argument).unwrap(),
    }
}

/// Calls a function of this program, which a copy by fork has at the same address.
fn call_elsewhere<A, R>((address, argument): (usize, A)) -> R
where
    R: Serialize + DeserializeOwned,
{
    let (sender, results) = queue::bounded(1).unwrap();
    let child = elsewhere::start(move || {
        // SAFETY: `start` has made the number of a function of this type.
        let function: fn(A) -> R = unsafe { std::mem::transmute(address) };
        let outcome = catch_unwind(AssertUnwindSafe(|| function(argument)));
        let text = |panic: Box<dyn Any + Send>| match panic.downcast::<String>() {
            Ok(text) => *text,
            Err(panic) => (*panic.downcast::<&str>().unwrap()).to_owned(),
        };
        sender.send(outcome.map_err(text)).unwrap();
    });
    let status = child.wait().unwrap();
    assert!(status.success(), "{status}");
    let outcome: Result<R, String> = results.try_recv().unwrap();
    outcome.unwrap_or_else(|text| panic!("{text}"))
}

/// A body in each way, by the method that is quickest.
pub(crate) fn tests(
    name: &str,
    body: impl Fn(StartMethod) + Copy + Send + Sync + 'static,
) -> [Test; 2] {
    let received = move || {
        let _ = WAY.set(Way::Received);
        body(StartMethod::ForkServer);
    };
    let in_namespaces = move || {
        if elsewhere::can_be_had() {
            let _ = WAY.set(Way::Elsewhere);
            body(StartMethod::Fork);
        }
    };
    [
        Test::new(format!("{name}::received"), received),
        Test::new(format!("{name}::elsewhere"), in_namespaces),
    ]
}
