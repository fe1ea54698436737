//! Where the queues of a body are.

use procession::manager::{self, Manager};
use procession::queue::{self, DeliveryConsumer, Producer};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What messages are.
pub(crate) trait Value: Serialize + DeserializeOwned + 'static {}

impl<T: Serialize + DeserializeOwned + 'static> Value for T {}

pub(crate) trait Setting: 'static {
    const NAME: &'static str;

    type Sender<T: Value>: Producer<T> + Clone + Serialize + DeserializeOwned + 'static;
    type Receiver<T: Value>: DeliveryConsumer<T> + Clone + Serialize + DeserializeOwned + 'static;

    fn new() -> Self;

    fn bounded<T: Value>(&self, capacity: usize) -> (Self::Sender<T>, Self::Receiver<T>);

    /// Blocks until it is known of every killed process that it is dead.
    fn know_the_dead(&self);
}

/// In shared memory.
pub(crate) struct Local;

impl Setting for Local {
    const NAME: &'static str = "local";

    type Sender<T: Value> = queue::Sender<T>;
    type Receiver<T: Value> = queue::Receiver<T>;

    fn new() -> Local {
        Local
    }

    fn bounded<T: Value>(&self, capacity: usize) -> (queue::Sender<T>, queue::Receiver<T>) {
        queue::bounded(capacity).unwrap()
    }

    fn know_the_dead(&self) {}
}

/// At a manager.
pub(crate) struct Remote(Manager);

impl Setting for Remote {
    const NAME: &'static str = "remote";

    type Sender<T: Value> = manager::Queue<T>;
    type Receiver<T: Value> = manager::Queue<T>;

    fn new() -> Remote {
        Remote(Manager::start().unwrap())
    }

    fn bounded<T: Value>(&self, capacity: usize) -> (manager::Queue<T>, manager::Queue<T>) {
        let queue = self.0.bounded_queue(capacity).unwrap();
        (queue.clone(), queue)
    }

    fn know_the_dead(&self) {
        testkit::eventually("the sessions of the dead have ended", || {
            self.0.statistics().unwrap().clients == 1
        });
    }
}
