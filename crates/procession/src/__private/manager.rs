//! What the code that `#[manager::object]` writes uses.

pub use crate::manager::private::{
    Hosted, ManagedObject, Method, Methods, Proxy, Sealed, Shape, Travels, UserProxy, method,
    shape, travels,
};
pub use serde;
