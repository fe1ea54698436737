//! A call of an object, with what it says when it is wrong.

use super::decode;
use super::encode;
use super::types::Type;
use crate::failure::Failure;
use procession::__private::error::ErrorBuilder;
use procession::__private::untyped::{self, Described, Encoded};
use procession::manager::{ManagedObject, Manager};
use procession::{Deadline, Error, ErrorKind};
use std::str::FromStr;
use std::time::Duration;

/// A call that is made.
pub(crate) struct Call<'a> {
    pub(crate) manager: &'a Manager,
    pub(crate) object: &'a Described,
    pub(crate) method: &'a str,
    pub(crate) arguments: &'a [String],
    pub(crate) timeout: Option<Duration>,
}

impl Call<'_> {
    pub(crate) fn deadline(&self) -> Deadline {
        Deadline::from(self.timeout)
    }

    /// As errors begin.
    fn full_name(&self) -> String {
        format!("{}.{}", self.object.name, self.method)
    }

    pub(crate) fn usage(&self, why: impl std::fmt::Display) -> Failure {
        Failure::Usage(format!("calling {}: {why}", self.full_name()))
    }

    /// The method is none that the object has.
    pub(crate) fn unknown(&self, known: &[&str]) -> Failure {
        let kind = &self.object.kind;
        match known {
            [] => self.usage(format_args!(
                "a {kind} cannot be called from the shell; what a process holds of it ends with the process"
            )),
            _ => self.usage(format_args!(
                "a {kind} has no such method\n  try: {}",
                known.join(", ")
            )),
        }
    }

    pub(crate) fn count(&self, wanted: &str) -> Failure {
        let takes = match wanted {
            "" => "no arguments",
            wanted => wanted,
        };
        self.usage(format_args!(
            "it takes {takes}, and {} were given",
            self.arguments.len()
        ))
    }

    /// The type of the object's values with this number.
    pub(crate) fn type_of(&self, index: usize) -> Result<Type, Failure> {
        let text = self
            .object
            .types
            .as_ref()
            .and_then(|types| types.get(index));
        let parsed = text.and_then(|text| Type::parse(text));
        parsed.ok_or_else(|| self.opaque(&self.object.text))
    }

    pub(crate) fn opaque(&self, what: &str) -> Failure {
        self.usage(format_args!(
            "the shell cannot read or write values that look like {what}\n  \
             try: a program with the types"
        ))
    }

    /// An argument as a value.
    pub(crate) fn value(&self, of: &Type, text: &str) -> Result<Encoded, Failure> {
        match encode::argument(of, text) {
            Ok(bytes) => Ok(Encoded(bytes)),
            Err(why) => Err(self.usage(why)),
        }
    }

    /// A value as JSON.
    pub(crate) fn json(&self, of: &Type, value: &Encoded) -> Result<String, Failure> {
        decode::json(of, &value.0).map_err(|why| {
            let error = ErrorBuilder::new(ErrorKind::Corrupt, "calling object", self.full_name());
            Failure::Library(error.because(why).build())
        })
    }

    /// The object, by a proxy of its kind.
    pub(crate) fn get<T: ManagedObject>(&self) -> Result<T, Failure> {
        Ok(untyped::get(self.manager, self.object)?)
    }

    pub(crate) fn number<T: FromStr>(&self, text: &str) -> Result<T, Failure> {
        let number = text.parse();
        number.map_err(|_| self.usage(format_args!("{text:?} is no number that it takes")))
    }

    /// An error that names no object gets this one.
    pub(crate) fn about(&self, error: Error) -> Failure {
        if !error.object().is_empty() {
            return error.into();
        }
        let told = ErrorBuilder::new(error.kind(), "calling object of manager", &self.object.name);
        let text = match error.kind() {
            ErrorKind::TimedOut => "timed out".to_owned(),
            _ => error.to_string(),
        };
        Failure::Library(told.because(text).build())
    }

    pub(crate) fn values(&self, of: &Type, texts: &[String]) -> Result<Vec<Encoded>, Failure> {
        texts.iter().map(|text| self.value(of, text)).collect()
    }

    pub(crate) fn optional(&self, of: &Type, value: Option<Encoded>) -> Result<String, Failure> {
        value.map_or_else(|| Ok("null".to_owned()), |value| self.json(of, &value))
    }

    pub(crate) fn all(&self, of: &Type, values: &[Encoded]) -> Result<String, Failure> {
        let values: Result<Vec<String>, Failure> =
            values.iter().map(|value| self.json(of, value)).collect();
        Ok(format!("[{}]", values?.join(",")))
    }
}
