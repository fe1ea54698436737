//! The objects of types of the user's own that a manager begins with.

use crate::Result;
use crate::manager::ManagedObject;
use crate::manager::objects::user::User;
use crate::manager::objects::{Hosted, Named, Shape, WORKERS, Workers};

/// A type of proxies of objects of the type `O`, made by [`object`](macro@crate::manager::object).
///
/// # Examples
/// See [`Objects`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no proxy of `{O}`",
    note = "a proxy is made by `#[manager::object]` on a trait that `{O}` implements, or on an `impl {O}`"
)]
pub trait ProxyOf<O>: ManagedObject {
    #[doc(hidden)]
    fn host(object: O) -> Hosted;
}

/// Objects of your own types, each with the name by which clients get it.
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
/// // Runs in the manager's process.
/// fn objects(start: u64) -> Objects {
///     Objects::new()
///         .object::<TallyProxy, _>("visitors", Tally(start))
///         .object::<TallyProxy, _>("errors", Tally(0))
///         .workers(4)
/// }
/// let manager = Manager::builder().setup(objects, 10).start()?;
/// let visitors: TallyProxy = manager.get("visitors")?;
/// assert_eq!(visitors.add(1)?, 11);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
#[must_use = "a manager has them only if it is built with them"]
pub struct Objects {
    objects: Vec<(String, Result<Shape>, Hosted)>,
    workers: Option<usize>,
}

impl Objects {
    /// Returns no objects.
    pub fn new() -> Objects {
        Objects::default()
    }

    /// Adds an object with its name. `P` says which methods clients can call.
    ///
    /// The object goes when its name is [unregistered](crate::manager::Manager::unregister) and its last proxy has
    /// gone, or with the manager. Its destructor then runs in a thread of the manager.
    ///
    /// # Errors
    /// The manager does not start if two objects have one name
    /// ([`AlreadyExists`](crate::ErrorKind::AlreadyExists)).
    ///
    /// # Examples
    /// See [`Objects`].
    pub fn object<P: ProxyOf<O>, O>(self, name: &str, object: O) -> Objects {
        self.with(name, P::shape(), P::host(object))
    }

    pub(super) fn with(mut self, name: &str, shape: Result<Shape>, hosted: Hosted) -> Objects {
        self.objects.push((name.to_owned(), shape, hosted));
        self
    }

    /// Sets how many methods run at the same time at most, all objects together; 16 if it is not set. A
    /// thread is started when it is needed, and ends when it had nothing to do for 10 seconds.
    ///
    /// A method that waits for another client to call something needs a thread for that other call:
    /// with as many such waits as there are threads, none of them ends.
    ///
    /// # Examples
    /// See [`Objects`].
    pub fn workers(mut self, workers: usize) -> Objects {
        self.workers = Some(workers);
        self
    }

    /// Adds those of another one.
    pub(in crate::manager) fn and(mut self, other: Objects) -> Objects {
        self.objects.extend(other.objects);
        self.workers = other.workers.or(self.workers);
        self
    }

    pub(in crate::manager) fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// What the server takes in, and the threads for it.
    pub(in crate::manager) fn into_parts(self) -> Result<(Workers, Vec<Named>)> {
        let workers = Workers::new(self.workers.unwrap_or(WORKERS))?;
        let mut parts = Vec::new();
        for (name, shape, hosted) in self.objects {
            let shape = shape.map_err(|error| error.about(&name))?;
            let object = User::new(hosted, shape.clone(), workers.clone());
            parts.push(Named {
                name,
                shape,
                object: Box::new(object),
            });
        }
        Ok((workers, parts))
    }
}

impl std::fmt::Debug for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.objects.iter().map(|(name, _, _)| name);
        f.debug_list().entries(names).finish()
    }
}
