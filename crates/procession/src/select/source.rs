//! What can be waited for together with other things.

use crate::Result;
use crate::registry::watch::{self, Teller, Watching};
use procession_sys::memory::Word;
use std::task::{Context, Poll};

/// Words, and what the lower halves of them were: while they are so, nothing has
/// happened.
pub(crate) type Watched = [(Word, u32); 2];

/// Something in shared memory that becomes ready.
pub(crate) trait Source {
    /// Whether it is; `thoroughly` asks the kernel where that is needed.
    fn is_ready(&self, thoroughly: bool) -> Result<bool>;

    /// Has whoever makes it ready wake those who sleep on the words; `None` if it
    /// is ready by now. To be followed by a thorough look.
    fn announce(&self) -> Result<Option<Watched>>;

    /// Wakes another one who waits for it: we were woken, and may not take what
    /// there is.
    fn pass_on(&self);
}

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
            let teller = Teller::Waker(context.waker().clone());
            return match watch::watch(words.into(), teller) {
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
