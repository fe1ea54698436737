//! `procession call`: calls a method of an object of a manager.

use super::address::{KeyFile, ManagerAddress};
use super::creation::Creation;
use super::find::find;
use super::kinds;
use super::request::Call;
use crate::failure::Failure;
use crate::options::duration;
use crate::output;
use clap::Args;
use std::time::Duration;

#[derive(Args, Debug)]
#[command(after_long_help = kinds::HELP)]
pub(crate) struct Arguments {
    /// Address of the manager: unix:PATH or tcp:HOST:PORT.
    #[arg(value_parser = ManagerAddress::parse)]
    address: ManagerAddress,
    /// Name of the object; `procession ls ADDRESS` lists them.
    object: String,
    /// Method, such as `get` of a dictionary; see --help.
    method: String,
    /// Arguments: text as it is where the method takes a string, JSON otherwise.
    #[arg(allow_hyphen_values = true)]
    arguments: Vec<String>,
    /// Create the object if no object has the name (examples: dict, queue, dict:str,u32; see --help).
    #[arg(long, value_name = "KIND", value_parser = Creation::parse)]
    create: Option<Creation>,
    /// Longest wait of a method that waits (examples: 500ms, 2s); then exit with code 124.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
    /// Print a string as it is, instead of as JSON.
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    key: KeyFile,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let manager = arguments.address.connect(arguments.key.path.as_deref())?;
    let object = find(
        &manager,
        &arguments.address,
        &arguments.object,
        arguments.create.as_ref(),
    )?;
    let call = Call {
        manager: &manager,
        object: &object,
        method: &arguments.method,
        arguments: &arguments.arguments,
        timeout: arguments.timeout,
    };
    let print = |json: &str| match serde_json::from_str::<String>(json) {
        Ok(text) if arguments.raw => output::print(text),
        _ => output::print(json),
    };
    match object.is_users {
        true => print(&call.users_method()?),
        false => kinds::call(&call, &print),
    }
}
