//! A queue of a manager, to code that takes any queue.

use super::{Delivery, Queue};
use crate::queue::{Acknowledge, consumer, delivery_consumer, producer, sealed};
use serde::Serialize;
use serde::de::DeserializeOwned;

producer!([T: Serialize + DeserializeOwned] Queue<T> => T);
consumer!([T: Serialize + DeserializeOwned] Queue<T> => T);
delivery_consumer!([T: Serialize + DeserializeOwned] Queue<T> => Delivery<T>, T);

impl<T: Serialize + DeserializeOwned> sealed::Acknowledge for Delivery<T> {}

impl<T: Serialize + DeserializeOwned> Acknowledge<T> for Delivery<T> {
    fn is_redelivered(&self) -> bool {
        Delivery::is_redelivered(self)
    }

    fn ack(self) -> crate::Result<()> {
        Delivery::ack(self)
    }

    fn requeue(self) -> crate::Result<()> {
        Delivery::requeue(self)
    }

    fn into_inner(self) -> crate::Result<T> {
        Delivery::into_inner(self)
    }
}
