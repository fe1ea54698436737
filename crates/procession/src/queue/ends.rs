//! The ends of a queue in shared memory, to code that takes any queue.

use super::traits::{consumer, delivery_consumer, producer};
use super::{Acknowledge, Delivery, Receiver, Sender, sealed};
use serde::Serialize;
use serde::de::DeserializeOwned;

producer!([T: Serialize + DeserializeOwned] Sender<T> => T);
consumer!([T: Serialize + DeserializeOwned] Receiver<T> => T);
delivery_consumer!([T: Serialize + DeserializeOwned] Receiver<T> => Delivery<T>, T);

impl<T> sealed::Acknowledge for Delivery<T> {}

impl<T> Acknowledge<T> for Delivery<T> {
    fn is_redelivered(&self) -> bool {
        Delivery::is_redelivered(self)
    }

    fn ack(self) -> crate::Result<()> {
        Delivery::ack(self);
        Ok(())
    }

    fn requeue(self) -> crate::Result<()> {
        Delivery::requeue(self);
        Ok(())
    }

    fn into_inner(self) -> crate::Result<T> {
        Ok(Delivery::into_inner(self))
    }
}
