//! Objects of types of the user's own that clients create.

use super::objects::Objects;
use super::proxy::{self, UserProxy};
use super::{CallError, ProxyOf};
use crate::Result;
use crate::manager::objects::{Hosted, ObjectKind, Shape};
use crate::manager::{ManagedObject, Manager};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What the only method of a factory is called.
const CREATE: &str = "create";

/// What a factory is of objects of a shape, from an `A`.
fn shape<A: DeserializeOwned>(of: &Shape) -> Result<Shape> {
    Ok(Shape {
        kind: ObjectKind::Factory,
        number: of.number,
        text: format!("factory of {}", of.text),
        methods: vec![proxy::method::<(A,), ()>(CREATE)?],
    })
}

impl Objects {
    /// Adds a factory with its name: clients create objects with it
    /// ([`Manager::instantiate`]). `create` runs in a thread of the manager.
    ///
    /// # Examples
    /// ```
    /// use procession::manager::{self, Manager, Objects};
    ///
    /// pub struct Tally(u64);
    ///
    /// #[manager::object]
    /// impl Tally {
    ///     pub fn add(&mut self, amount: u64) -> u64 {
    ///         self.0 += amount;
    ///         self.0
    ///     }
    /// }
    ///
    /// fn objects(_: ()) -> Objects {
    ///     Objects::new().factory::<TallyProxy, _, _>("tally", |start: u64| Tally(start))
    /// }
    /// let manager = Manager::builder().setup(objects, ()).start()?;
    /// let one: TallyProxy = manager.instantiate("tally", 10_u64)?;
    /// let other: TallyProxy = manager.instantiate("tally", 20_u64)?;
    /// assert_eq!((one.add(1)?, other.add(1)?), (11, 21));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "register")]
    pub fn factory<P, O, A>(
        self,
        name: &str,
        create: impl Fn(A) -> O + Send + Sync + 'static,
    ) -> Objects
    where
        P: ProxyOf<O>,
        A: Serialize + DeserializeOwned,
    {
        let of = P::shape();
        let shape = of.clone().and_then(|of| shape::<A>(&of));
        let of = of.unwrap_or_else(|_| proxy::shape(name, Vec::new()));
        let factory = Hosted::factory(of, move |argument| P::host(create(argument)));
        self.with(name, shape, factory)
    }
}

impl Manager {
    /// Creates an object by the factory with this name ([`Objects::factory`]). The object goes with its
    /// last proxy.
    ///
    /// # Errors
    /// [`CallError::Failed`]: no factory has the name ([`NotFound`](crate::ErrorKind::NotFound)), or it makes something
    /// else or from something else ([`Incompatible`](crate::ErrorKind::Incompatible)); the manager has ended.
    /// [`CallError::Panicked`]: the factory panicked.
    ///
    /// # Cost
    /// Two calls.
    ///
    /// # Examples
    /// See [`Objects::factory`].
    #[doc(alias = "create")]
    pub fn instantiate<P, A>(&self, factory: &str, argument: A) -> std::result::Result<P, CallError>
    where
        P: ManagedObject,
        A: Serialize + DeserializeOwned,
    {
        let of = P::shape()?;
        let factory = UserProxy::new(self.get_as(factory, shape::<A>(&of)?)?);
        let number: u64 = factory.call(CREATE, &(argument,))?;
        Ok(P::of(factory.proxy().beside(number, of)?))
    }
}
