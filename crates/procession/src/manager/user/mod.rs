//! Objects of types of the user's own: what `#[manager::object]` stands on.

mod call_error;
mod caller;
mod factory;
mod objects;
mod proxy;
mod setup;

pub use call_error::CallError;
pub use caller::{Caller, caller};
pub use objects::{Objects, ProxyOf};
pub use proxy::{Travels, UserProxy, method, shape, travels};
pub(super) use setup::Setup;
