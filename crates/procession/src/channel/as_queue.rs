//! The ends of a channel, to code that takes any queue. What a reader has received does not come again, so it has no
//! deliveries.

use super::{Endpoint, Reader, Writer};
use crate::queue::{consumer, producer};
use serde::Serialize;
use serde::de::DeserializeOwned;

producer!([T: Serialize + DeserializeOwned] Writer<T> => T);
consumer!([T: Serialize + DeserializeOwned] Reader<T> => T);
producer!([S: Serialize + DeserializeOwned, R: ?Sized] Endpoint<S, R> => S);
consumer!([S: ?Sized, R: Serialize + DeserializeOwned] Endpoint<S, R> => R);
