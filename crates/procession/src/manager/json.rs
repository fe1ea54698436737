//! A value of a shell.

use serde::{Deserialize, Serialize};

/// JSON text: what the values of objects are that `procession call --create` creates without naming types.
///
/// It is not looked at by this library: `serde_json::from_str(&json.0)` reads it, `serde_json::to_string(&value)` makes it.
///
/// # Examples
/// ```
/// use procession::manager::{Dict, Json, Manager};
/// let manager = Manager::start()?;
/// // As `procession call ADDRESS settings --create dict` does.
/// let settings: Dict<String, Json> = manager.get_or_register("settings", || manager.dict())?;
/// settings.insert("limits".to_owned(), Json(r#"{"cpu": 4}"#.to_owned()))?;
/// let Some(Json(text)) = settings.get("limits")? else { panic!() };
/// assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap()["cpu"], 4);
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Json(pub String);
