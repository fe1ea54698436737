//! What a set is compared and combined with.

use super::Set;
use crate::Result;
use crate::manager::blob::Blob;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::borrow::Borrow;
use std::collections::HashSet;

/// What the operations of a [`Set`] take: a collection of values, or of references to them, or a reference to another set.
///
/// The members of another set are read in a call of their own, as of the moment of that call, and sent on: it may be one of
/// another manager.
pub trait Operand<T>: sealed::Sealed<T> {}

pub(super) mod sealed {
    use super::Values;
    use crate::Result;

    #[expect(unnameable_types, reason = "nobody else is to implement it")]
    pub trait Sealed<T> {
        #[doc(hidden)]
        fn values(self) -> Result<Values>;
    }
}

/// Encoded values that differ.
#[doc(hidden)]
#[derive(Debug)]
#[expect(unnameable_types, reason = "nobody else is to look into it")]
pub struct Values(pub(super) Vec<Blob>);

impl<T, V> Operand<T> for V
where
    T: Serialize,
    V: IntoIterator<Item: Borrow<T>>,
{
}

impl<T, V> sealed::Sealed<T> for V
where
    T: Serialize,
    V: IntoIterator<Item: Borrow<T>>,
{
    fn values(self) -> Result<Values> {
        let mut known = HashSet::new();
        let mut values = Vec::new();
        for value in self {
            let value = Blob::of(value.borrow())?;
            if known.insert(value.clone()) {
                values.push(value);
            }
        }
        Ok(Values(values))
    }
}

impl<T: Serialize + DeserializeOwned> Operand<T> for &Set<T> {}

impl<T: Serialize + DeserializeOwned> sealed::Sealed<T> for &Set<T> {
    fn values(self) -> Result<Values> {
        Ok(Values(self.all()?))
    }
}
