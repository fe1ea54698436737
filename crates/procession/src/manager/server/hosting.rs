//! The objects of users' types that a server begins with, and what the threads answer that run their methods.

use super::{Server, WORKERS};
use crate::Result;
use crate::error::Context;
use crate::manager::objects::{Answer, Answered, Named, Workers};
use crate::manager::reply::Reply;
use rustix::event::epoll::{self, EventData, EventFlags};
use std::time::Duration;

/// How long methods may go on when the manager ends.
const PATIENCE: Duration = Duration::from_secs(1);

impl Server {
    /// Takes in objects with their names.
    ///
    /// # Errors
    /// Two have one name.
    pub(in crate::manager) fn host(&mut self, workers: Workers, objects: Vec<Named>) -> Result<()> {
        let data = EventData::new_u64(WORKERS);
        epoll::add(&self.epoll, &workers, data, EventFlags::IN).during("starting manager", "")?;
        self.workers = Some(workers);
        for Named {
            name,
            shape,
            object,
        } in objects
        {
            let hosted = self.table.host(name.clone(), shape, object);
            hosted.map_err(|refusal| refusal.into_error("registering object of manager", &name))?;
        }
        Ok(())
    }

    /// Takes what threads have answered.
    pub(super) fn take_answers(&mut self) {
        let answers = self.workers.as_ref().map(Workers::collect);
        for (caller, answered) in answers.unwrap_or_default() {
            match answered {
                Answered::By(reply) => self.replies.push(caller, reply),
                // Its client may have gone, and nobody would give it back.
                Answered::Created(shape, object) if self.sessions.contains_key(&caller.session) => {
                    let created = self.table.take_in(caller.session, shape, object);
                    let reply = match created {
                        Ok(number) => Reply::of(&Answer::Returned(number)),
                        Err(refusal) => Reply::Refused(refusal),
                    };
                    self.replies.push(caller, reply);
                }
                Answered::Created(..) => {}
            }
        }
    }

    /// Drops all objects, and lets the threads end.
    pub(super) fn leave(self) {
        // The destructors of users' objects are jobs of the workers.
        drop(self.table);
        if let Some(workers) = self.workers {
            workers.end(PATIENCE);
        }
    }
}
