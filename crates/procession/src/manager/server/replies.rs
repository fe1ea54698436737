//! What calls lead to: answers, and calls that go on at another object.

use super::Server;

impl Server {
    /// Puts answers to what is to be sent to those that wait for them.
    pub(super) fn give_replies(&mut self) {
        while let Some(onward) = self.replies.next_onward() {
            let (caller, object) = (onward.caller, onward.object);
            // One whose session has ended is nobody's call any more.
            let Some(session) = self.sessions.get_mut(&caller.session) else {
                continue;
            };
            if let Some(call) = caller.call {
                session.calls.insert(call, object);
            }
            (self.table).call(object, caller, &onward.request, &mut self.replies);
        }
        for (caller, reply) in self.replies.0.drain(..) {
            if let (Some(session), Some(call)) =
                (self.sessions.get_mut(&caller.session), caller.call)
            {
                if !session.has_outgoing() {
                    self.touched.push(caller.session);
                }
                session.answer(call, &reply);
            }
        }
    }
}
