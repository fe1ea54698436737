//! What handles ask a task table for.

use super::{Callback, Notify, Owner, Place, TaskTable};
use crate::pool::scheduler::chunk::Piece;
use crate::pool::scheduler::ids::ChunkId;
use std::task::Waker;

impl TaskTable {
    /// Returns `true` if the result is here.
    pub(in crate::pool) fn has_result(&self, id: ChunkId) -> bool {
        self.chunks[id].result.is_some()
    }

    /// Returns `true` if the result is here, and is an error.
    pub(in crate::pool) fn has_failed(&self, id: ChunkId) -> bool {
        matches!(self.chunks[id].result, Some(Piece::Failed { .. }))
    }

    /// Takes the result for the handle, if it is here; the chunk is the handle's no longer.
    pub(in crate::pool) fn take_result(&mut self, id: ChunkId) -> Option<Piece> {
        let chunk = &mut self.chunks[id];
        let piece = chunk.result.take()?;
        match chunk.place {
            Place::Done => drop(self.chunks.remove(id)),
            // It goes when the worker has said how it went.
            _ => chunk.owner = Owner::Nobody,
        }
        Some(piece)
    }

    /// Has `waker` woken when the result is here; returns the one before it.
    pub(in crate::pool) fn watch(&mut self, id: ChunkId, waker: Waker) -> Option<Waker> {
        let before = self.chunks[id].waker.replace(waker);
        self.watched += usize::from(before.is_none());
        before
    }

    /// Has `callback` called with the result.
    pub(in crate::pool) fn call_back(&mut self, id: ChunkId, callback: Callback) {
        match self.take_result(id) {
            Some(piece) => self.notifications.push(Notify::Call(callback, piece)),
            None => {
                self.watched += 1;
                self.chunks[id].callback = Some(callback);
            }
        }
    }

    /// Takes in that the handle was dropped; returns its waker, whose destructor is the
    /// user's code.
    pub(in crate::pool) fn drop_handle(&mut self, id: ChunkId) -> Option<Waker> {
        let chunk = self.chunks.get_mut(id)?;
        let waker = chunk.waker.take();
        self.watched -= usize::from(waker.is_some());
        chunk.result = None;
        match chunk.place {
            Place::Done => drop(self.chunks.remove(id)),
            _ => chunk.owner = Owner::Nobody,
        }
        waker
    }
}
