//! The client's side of an object of a type of the user's own.

use super::call_error::{CallError, OPERATION};
use crate::manager::objects::user::Header;
use crate::manager::objects::{Answer, Method, ObjectKind, Shape};
use crate::manager::proxy::{Proxy, schema_of};
use crate::shm::Fingerprint;
use crate::{Deadline, Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use serde::{Deserializer, Serialize, Serializer};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What arguments and results are.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent to a manager and back",
    note = "derive `serde::Serialize` and `serde::Deserialize` for it, without borrowed fields"
)]
pub trait Travels: Serialize + DeserializeOwned + 'static {}

impl<T: Serialize + DeserializeOwned + 'static> Travels for T {}

/// Compiles for types that can be sent.
pub const fn travels<T: Travels>() {}

/// Describes a method.
///
/// # Errors
/// The type of an argument or of the result cannot be sent.
pub fn method<A: DeserializeOwned, R: DeserializeOwned>(name: &str) -> Result<Method> {
    let (arguments, result) = (schema_of::<A>()?, schema_of::<R>()?);
    let signature = Fingerprint::from_number(arguments.number())
        .with(Fingerprint::from_number(result.number()))
        .number();
    Ok(Method {
        name: name.to_owned(),
        signature,
        text: format!("{} → {}", arguments.describe(), result.describe()),
    })
}

/// Describes an object by the name of its trait or type, and its methods.
#[must_use]
pub fn shape(name: &str, methods: Vec<Method>) -> Shape {
    Shape {
        kind: ObjectKind::User,
        number: Fingerprint::new(name, 0).number(),
        text: format!("`{name}`"),
        methods,
    }
}

/// A reference to an object, and how long its calls wait.
#[derive(Clone)]
#[expect(
    missing_debug_implementations,
    reason = "`debug` prints it under the name of its type"
)]
pub struct UserProxy {
    proxy: Arc<Proxy>,
    timeout: Option<Duration>,
}

#[derive(Serialize)]
struct Call<'a, A> {
    header: Header<&'a str>,
    arguments: &'a A,
}

impl UserProxy {
    /// Takes over a reference.
    #[must_use]
    pub fn new(proxy: Proxy) -> UserProxy {
        UserProxy {
            proxy: Arc::new(proxy),
            timeout: None,
        }
    }

    /// Returns the reference.
    #[must_use]
    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// Returns a proxy of the same object, whose calls wait at most `timeout`.
    #[must_use]
    pub fn limited(&self, timeout: Duration) -> UserProxy {
        UserProxy {
            proxy: Arc::clone(&self.proxy),
            timeout: Some(timeout),
        }
    }

    /// Calls a method.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn call<A: Serialize, R: DeserializeOwned>(
        &self,
        name: &str,
        arguments: &A,
    ) -> std::result::Result<R, CallError> {
        let Some(method) = self.proxy.shape().method(name) else {
            let error = Error::new(ErrorKind::Incompatible, OPERATION, self.full_name(name));
            return Err(error.into());
        };
        let call = Call {
            header: Header {
                method: name,
                signature: method.signature,
            },
            arguments,
        };
        let deadline = self.timeout.map_or(Deadline::NEVER, Deadline::after);
        let answer = self.proxy.call::<_, Answer<R>>(OPERATION, &call, deadline);
        match answer.map_err(|error| self.explain(error, method))? {
            Answer::Returned(result) => Ok(result),
            Answer::Panicked(panic) => Err(CallError::Panicked {
                method: self.full_name(name),
                panic: Box::new(panic),
            }),
        }
    }

    fn full_name(&self, method: &str) -> String {
        format!("{}.{method}", self.proxy.name())
    }

    #[cold]
    fn explain(&self, error: Error, method: &Method) -> Error {
        let is_other = error.kind() == ErrorKind::Incompatible;
        let error = error.renamed(self.full_name(&method.name));
        match is_other && error.hint().is_none() {
            true => error.with_hint(format!(
                "here it is {}; use the same definition of the trait and of its types on both \
                 sides",
                method.text
            )),
            false => error,
        }
    }

    /// Prints it under the name of its type.
    ///
    /// # Errors
    /// As `fmt`.
    pub fn debug(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple(name).field(&self.proxy.name()).finish()
    }

    /// Takes over a reference that was sent.
    ///
    /// # Errors
    /// It is one to something else, or the manager cannot be reached.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
        shape: Result<Shape>,
    ) -> std::result::Result<UserProxy, D::Error> {
        Proxy::deserialize(deserializer, shape).map(UserProxy::new)
    }
}

impl Serialize for UserProxy {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.proxy.serialize(serializer)
    }
}
