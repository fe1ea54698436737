//! Waiting for a source as a future.

use super::source::Source;
use crate::Result;
use crate::registry::watches::{self, Notify, Watching};
use std::task::{Context, Poll};

/// Attempts something again and again, until it gives a value, each time that the
/// source may be ready.
pub(crate) async fn until<S: Source, T>(
    source: S,
    mut attempt: impl FnMut() -> Option<T>,
) -> Result<T> {
    let mut awaiting = Awaiting {
        source,
        watching: None,
    };
    std::future::poll_fn(|context| awaiting.poll(context, &mut attempt)).await
}

/// A future that waits for a source.
struct Awaiting<S: Source> {
    source: S,
    watching: Option<Watching>,
}

impl<S: Source> Awaiting<S> {
    fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        attempt: &mut impl FnMut() -> Option<T>,
    ) -> Poll<Result<T>> {
        loop {
            self.watching = None;
            if let Some(value) = attempt() {
                return Poll::Ready(Ok(value));
            }
            let announced = match self.source.announce() {
                Ok(announced) => announced,
                Err(error) => return Poll::Ready(Err(error)),
            };
            if let Some(value) = attempt() {
                return Poll::Ready(Ok(value));
            }
            let Some(words) = announced else {
                continue;
            };
            let notify = Notify::Waker(context.waker().clone());
            return match watches::watch(words.into(), notify) {
                Ok(watching) => {
                    self.watching = Some(watching);
                    Poll::Pending
                }
                Err(error) => Poll::Ready(Err(error)),
            };
        }
    }
}

impl<S: Source> Drop for Awaiting<S> {
    fn drop(&mut self) {
        // Told, and gone without having taken anything.
        if self.watching.take().is_some_and(Watching::end) {
            self.source.pass_on();
        }
    }
}
