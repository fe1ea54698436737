//! What all proxies have in common: an object of a manager that this process refers to.

use super::address::Place;
use super::client::{Connection, Target};
use super::connections;
use super::objects::{ObjectKind, Shape};
use super::root::{ROOT, Request};
use crate::queue::{Message, Schema};
use crate::{Deadline, Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::sync::{Arc, Mutex, PoisonError};

/// One reference of this process to an object.
#[derive(Debug)]
pub struct Proxy {
    place: Place,
    server: u64,
    object: u64,
    shape: Shape,
    /// As errors call it.
    name: String,
    connection: Mutex<Arc<Connection>>,
}

/// What an object is of which the values are of these types.
pub(super) fn shape(kind: ObjectKind, what: &str, schemas: &[Schema]) -> Shape {
    let names: Vec<String> = schemas.iter().map(Schema::describe).collect();
    let number = schemas.iter().fold(0, |number: u64, schema| {
        number.rotate_left(17).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ schema.number()
    });
    Shape {
        kind,
        number,
        text: match names.is_empty() {
            true => what.to_owned(),
            false => format!("{what} of {}", names.join(" and ")),
        },
        methods: Vec::new(),
    }
}

pub(super) fn schema_of<T: DeserializeOwned>() -> Result<Schema> {
    <T as Message<'static>>::schema()
}

impl Proxy {
    pub(super) fn new(
        place: Place,
        connection: Arc<Connection>,
        object: u64,
        shape: Shape,
        name: String,
    ) -> Proxy {
        Proxy {
            place,
            server: connection.server,
            object,
            shape,
            name,
            connection: Mutex::new(connection),
        }
    }

    /// A reference to another object of the same manager, which this process has.
    pub(super) fn beside(&self, object: u64, shape: Shape) -> Result<Proxy> {
        let connection = self.connection()?;
        let name = format!("{object} of {}", self.place);
        Ok(Proxy::new(
            self.place.clone(),
            connection,
            object,
            shape,
            name,
        ))
    }

    /// Calls the object.
    pub(super) fn call<Q: Serialize, R: DeserializeOwned>(
        &self,
        operation: &'static str,
        request: &Q,
        deadline: Deadline,
    ) -> Result<R> {
        let target = Target {
            object: self.object,
            operation,
            name: &self.name,
        };
        self.connection()?.call(target, request, deadline)
    }

    /// Tells the object something, and does not wait.
    pub(super) fn tell<Q: Serialize>(&self, request: &Q) -> Result<()> {
        self.connection()?.tell(self.object, request)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn shape(&self) -> &Shape {
        &self.shape
    }

    pub(super) fn server(&self) -> u64 {
        self.server
    }

    pub(super) fn object(&self) -> u64 {
        self.object
    }

    /// The connection of this process: a forked child has one of its own, and a reference of its own.
    fn connection(&self) -> Result<Arc<Connection>> {
        let mut kept = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !kept.is_ours() {
            let connection = self.connect()?;
            self.ask_root::<()>(&connection, &Request::Retain(self.object))?;
            *kept = connection;
        }
        Ok(Arc::clone(&kept))
    }

    fn connect(&self) -> Result<Arc<Connection>> {
        connections::to(&self.place, self.server).map_err(|error| error.about(&self.name))
    }

    fn ask_root<R: DeserializeOwned>(
        &self,
        connection: &Connection,
        request: &Request,
    ) -> Result<R> {
        let target = Target {
            object: ROOT,
            operation: "using object of manager",
            name: &self.name,
        };
        connection.call(target, request, Deadline::NEVER)
    }

    fn lend(&self) -> Result<Travelling> {
        let ticket = self.ask_root(&*self.connection()?, &Request::Lend(self.object))?;
        Ok(Travelling {
            place: self.place.clone(),
            server: self.server,
            object: self.object,
            // Whoever takes it over knows the methods.
            shape: Shape {
                methods: Vec::new(),
                ..self.shape.clone()
            },
            name: self.name.clone(),
            ticket,
        })
    }

    /// Takes over what was lent.
    fn adopt(travelling: Travelling, shape: &Shape) -> Result<Proxy> {
        let operation = "taking over object of manager";
        if let Some(why) = travelling.shape.mismatch(shape) {
            let error = Error::new(ErrorKind::Incompatible, operation, &travelling.name);
            return Err(error.because(why));
        }
        let connection = connections::to(&travelling.place, travelling.server)
            .map_err(|error| error.about(&travelling.name))?;
        let target = Target {
            object: ROOT,
            operation,
            name: &travelling.name,
        };
        let request = Request::Adopt(travelling.object, travelling.ticket);
        connection.call::<_, ()>(target, &request, Deadline::NEVER)?;
        Ok(Proxy {
            place: travelling.place,
            server: travelling.server,
            object: travelling.object,
            shape: shape.clone(),
            name: travelling.name,
            connection: Mutex::new(connection),
        })
    }

    /// For the `Deserialize` of proxies.
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
        shape: Result<Shape>,
    ) -> std::result::Result<Proxy, D::Error> {
        crate::shape::stands_for("proxy of a manager")?;
        let travelling = Travelling::deserialize(deserializer)?;
        let adopted = shape.and_then(|shape| Proxy::adopt(travelling, &shape));
        adopted.map_err(serde::de::Error::custom)
    }
}

/// What is encoded of a proxy.
#[derive(Serialize, Deserialize)]
struct Travelling {
    place: Place,
    server: u64,
    object: u64,
    shape: Shape,
    name: String,
    /// Keeps the object until it is adopted.
    ticket: u64,
}

impl Serialize for Proxy {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let travelling = self.lend().map_err(serde::ser::Error::custom)?;
        travelling.serialize(serializer)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let kept = self
            .connection
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        // A forked copy that was never used has no reference.
        if kept.is_ours() {
            let _ = kept.tell(ROOT, &Request::Release(self.object, 1));
        }
    }
}

/// What all types of proxies are: cheap to clone, sent as what they are, named by `Debug`, which calls nothing.
macro_rules! traits {
    ($name:ident $(<$($type:ident),*>)?) => {
        impl<$($($type),*)?> Clone for $name<$($($type),*)?> {
            fn clone(&self) -> Self {
                $name {
                    proxy: Arc::clone(&self.proxy),
                    types: PhantomData,
                }
            }
        }

        impl<$($($type),*)?> fmt::Debug for $name<$($($type),*)?> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.proxy.name()).finish()
            }
        }

        impl<$($($type),*)?> Serialize for $name<$($($type),*)?> {
            fn serialize<S: Serializer>(
                &self,
                serializer: S,
            ) -> std::result::Result<S::Ok, S::Error> {
                self.proxy.serialize(serializer)
            }
        }

        impl<'de, $($($type: Serialize + DeserializeOwned),*)?> Deserialize<'de> for $name<$($($type),*)?> {
            fn deserialize<D: Deserializer<'de>>(
                deserializer: D,
            ) -> std::result::Result<Self, D::Error> {
                let proxy = Proxy::deserialize(deserializer, Self::shape())?;
                Ok(Self::of(proxy))
            }
        }

        impl<$($($type),*)?> sealed::Sealed for $name<$($($type),*)?> {}

        impl<$($($type: Serialize + DeserializeOwned),*)?> ManagedObject for $name<$($($type),*)?> {
            fn shape() -> Result<Shape> {
                Self::shape()
            }

            fn of(proxy: Proxy) -> Self {
                Self::of(proxy)
            }

            fn proxy(&self) -> &Proxy {
                &self.proxy
            }
        }
    };
}

pub(super) use traits;
