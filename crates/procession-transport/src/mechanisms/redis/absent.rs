//! What stands for the list where the crate was built without a client.

use crate::mechanism::{Channel, Inlet, Outlet, Route};
use procession::__private::error::ErrorBuilder;
use procession::{ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// There is none.
#[derive(Debug)]
pub(crate) enum RedisList {}

impl RedisList {
    pub(super) fn new(_url: Option<&str>) -> Result<RedisList> {
        let error = ErrorBuilder::new(ErrorKind::Unsupported, "opening transport", "redis");
        Err(error
            .because("procession-transport was built without the feature `redis`")
            .build())
    }
}

/// There is none.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum RedisRoute {}

impl Route for RedisRoute {
    fn open(self) -> Result<Box<dyn Outlet>> {
        match self {}
    }
}

impl Channel for RedisList {
    type Route = RedisRoute;

    fn route(&self, _sender: usize) -> Result<RedisRoute> {
        match *self {}
    }

    fn into_inlet(self) -> Result<Box<dyn Inlet>> {
        match self {}
    }
}
