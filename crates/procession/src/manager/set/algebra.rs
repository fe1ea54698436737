//! Operations of sets with many values at once.

use super::{Operand, Set};
use crate::Result;
use crate::manager::blob::Blob;
use crate::manager::objects::set::{Combination, Request};
use serde::Serialize;
use serde::de::DeserializeOwned;

impl<T: Serialize + DeserializeOwned> Set<T> {
    /// Inserts values, in one call and at one moment; returns how many were not there.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let set = manager.set::<u64>()?;
    /// assert_eq!(set.extend([5, 6])?, 2);
    /// assert_eq!(set.extend([6, 7])?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "update")]
    pub fn extend(&self, values: impl Operand<T>) -> Result<usize> {
        let new: u64 = self.ask(&Request::Insert(values.values()?.0))?;
        Ok(new as usize)
    }

    /// Removes values, in one call and at one moment; returns how many were there.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let set = manager.set::<u64>()?;
    /// set.extend([5, 6, 7])?;
    /// assert_eq!(set.remove_many([6, 7, 8])?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "difference_update")]
    pub fn remove_many(&self, values: impl Operand<T>) -> Result<usize> {
        let removed: u64 = self.ask(&Request::Remove(values.values()?.0))?;
        Ok(removed as usize)
    }

    /// Removes the members that are not among `values`, at one moment; returns how many those were.
    ///
    /// # Cost
    /// The manager looks at each member, and does nothing else meanwhile.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let set = manager.set::<u64>()?;
    /// set.extend([5, 6, 7])?;
    /// assert_eq!(set.retain_many([6, 7, 8])?, 1);
    /// assert_eq!(set.snapshot()?, [6, 7]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "intersection_update")]
    pub fn retain_many(&self, values: impl Operand<T>) -> Result<usize> {
        let removed: u64 = self.ask(&Request::Retain(values.values()?.0))?;
        Ok(removed as usize)
    }

    /// Returns the members, and the values of `other` that are none.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let (set, other) = (manager.set::<u64>()?, manager.set::<u64>()?);
    /// set.extend([5, 6])?;
    /// other.extend([7, 6])?;
    /// assert_eq!(set.union(&other)?, [5, 6, 7]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn union(&self, other: impl Operand<T>) -> Result<Vec<T>> {
        self.combine(Combination::Union, other)
    }

    /// Returns the values of `other` that are members: of many values those that are there, in one call.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let set = manager.set::<u64>()?;
    /// set.extend([5, 6])?;
    /// assert_eq!(set.intersection([7, 6])?, [6]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn intersection(&self, other: impl Operand<T>) -> Result<Vec<T>> {
        self.combine(Combination::Intersection, other)
    }

    /// Returns the members that are not in `other`.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let set = manager.set::<u64>()?;
    /// set.extend([5, 6])?;
    /// assert_eq!(set.difference([7, 6])?, [5]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn difference(&self, other: impl Operand<T>) -> Result<Vec<T>> {
        self.combine(Combination::Difference, other)
    }

    /// Returns the members that are not in `other`, and the values of `other` that are no members.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let set = manager.set::<u64>()?;
    /// set.extend([5, 6])?;
    /// assert_eq!(set.symmetric_difference([7, 6])?, [5, 7]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn symmetric_difference(&self, other: impl Operand<T>) -> Result<Vec<T>> {
        self.combine(Combination::SymmetricDifference, other)
    }

    /// Returns `true` if all values of `other` are members.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let set = manager.set::<u64>()?;
    /// set.extend([5, 6])?;
    /// assert!(set.is_superset([6])?);
    /// assert!(!set.is_superset([6, 7])?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "contains_all")]
    #[doc(alias = "is_subset")]
    pub fn is_superset(&self, other: impl Operand<T>) -> Result<bool> {
        let values = other.values()?.0;
        let all = values.len();
        Ok(self.ask::<u64>(&Request::Count(values))? as usize == all)
    }

    /// Returns `true` if no value of `other` is a member.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let set = manager.set::<u64>()?;
    /// set.extend([5, 6])?;
    /// assert!(set.is_disjoint([7])?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_disjoint(&self, other: impl Operand<T>) -> Result<bool> {
        Ok(self.ask::<u64>(&Request::Count(other.values()?.0))? == 0)
    }

    fn combine(&self, combination: Combination, other: impl Operand<T>) -> Result<Vec<T>> {
        let values: Vec<Blob> = self.ask(&Request::Combine(combination, other.values()?.0))?;
        values.iter().map(Blob::get).collect()
    }
}
