//! Queues among other things that are waited for.

use super::handle::Side;
use crate::wait::{Source, Watched};
use crate::{Deadline, Result};
use std::sync::Arc;

/// That there is something to receive, if only the end.
pub(crate) struct Messages(pub(super) Arc<Side>);

/// That there is room, or no receiver that would ever make some.
pub(crate) struct Room(pub(super) Arc<Side>);

impl Source for Messages {
    fn is_ready(&self, thoroughly: bool) -> Result<bool> {
        let caller = self.0.ring.object.caller(Deadline::NOW)?;
        if thoroughly {
            // Nobody else may, while all receivers wait so.
            self.0
                .ring
                .tidy_if_asked(&|| self.0.descriptor_socket().sweep());
        }
        Ok(self.0.ring.has_message(&caller) || thoroughly && self.0.is_other_side_gone())
    }

    fn announce(&self) -> Result<Option<Watched>> {
        self.0.ring.announce_for_message().map(Some)
    }

    fn pass_on(&self) {
        self.0.ring.pass_message_on();
    }
}

impl Source for Room {
    fn is_ready(&self, thoroughly: bool) -> Result<bool> {
        let ring = &self.0.ring;
        Ok(ring.has_room() || ring.is_closed() || thoroughly && self.0.are_receivers_gone())
    }

    fn announce(&self) -> Result<Option<Watched>> {
        self.0.ring.announce_for_room().map(Some)
    }

    fn pass_on(&self) {
        self.0.ring.pass_room_on();
    }
}
