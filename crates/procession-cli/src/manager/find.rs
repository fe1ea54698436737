//! Finds objects by their names.

use super::address::ManagerAddress;
use super::creation::Creation;
use crate::failure::Failure;
use procession::__private::error::ErrorBuilder;
use procession::__private::untyped::{self, Described};
use procession::manager::Manager;
use procession::{Error, ErrorKind};

/// Finds the object with a name, or creates it.
pub(crate) fn find(
    manager: &Manager,
    address: &ManagerAddress,
    name: &str,
    create: Option<&Creation>,
) -> Result<Described, Failure> {
    let look = || -> Result<Option<Described>, Error> {
        let objects = untyped::describe(manager)?;
        Ok(objects.into_iter().find(|object| object.name == name))
    };
    if let Some(found) = look()? {
        return match create.filter(|create| !create.is_that(&found)) {
            None => Ok(found),
            Some(create) => Err(Failure::Usage(format!(
                "object {name:?} of {address} is a {}, and not {create}\n  \
                 try: leave --create away, or choose another name",
                found.text
            ))),
        };
    }
    if let Some(create) = create {
        create.create(manager, name)?;
        if let Some(found) = look()? {
            return Ok(found);
        }
    }
    let error = ErrorBuilder::new(ErrorKind::NotFound, "calling object of manager", name);
    Err(Failure::Library(
        error
            .because(format!("no object of {address} has this name"))
            .with_hint(format!(
                "`procession ls {address}` lists them, `--create KIND` creates one"
            ))
            .build(),
    ))
}
