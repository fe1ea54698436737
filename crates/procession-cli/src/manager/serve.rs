//! `procession serve`: a manager for shells and programs.

use super::address::{KeyFile, ManagerAddress};
use crate::failure::{Failure, system};
use crate::output;
use clap::Args;
use procession::channel::Address;
use procession::manager::Manager;
use procession::signal::{Signal, Signals};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Address at which to listen: unix:PATH or tcp:HOST:PORT (port 0: any that is free).
    #[arg(value_parser = ManagerAddress::parse)]
    address: ManagerAddress,
    #[command(flatten)]
    key: KeyFile,
    /// Do not print the address when clients can connect.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Serves until a client ends the manager, or a signal comes.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    // Caught from here: the socket is to be removed.
    let mut signals = Signals::unless_ignored(&[Signal::INT, Signal::TERM, Signal::HUP])?;
    let address = arguments.address.full(arguments.key.path.as_deref())?;
    let server = Manager::builder().bind(&address).listen()?;
    let bound = server.addresses().first().unwrap_or(&address).clone();
    announce(&bound, arguments.quiet)?;
    let thread = std::thread::Builder::new().name("signals".to_owned());
    let spawned = thread.spawn(move || {
        if signals.wait().is_ok() {
            // If that fails, it has ended already.
            let _ = Manager::connect(&bound).and_then(|manager| manager.shutdown());
        }
    });
    spawned.map_err(Failure::thread)?;
    Ok(server.serve()?)
}

/// Tells the caller that clients can connect.
fn announce(address: &Address, quiet: bool) -> Result<(), Failure> {
    if let Some(socket) = std::env::var_os("NOTIFY_SOCKET") {
        let socket = socket.to_string_lossy();
        let told = notify(&socket);
        told.map_err(|error| Failure::Library(system("notifying", &socket, &error)))?;
    }
    match quiet {
        true => Ok(()),
        false => output::print(format_args!("listening at {address}")),
    }
}

/// As sd_notify(3) does.
fn notify(socket: &str) -> std::io::Result<()> {
    let address = match socket.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.send_to_addr(b"READY=1\n", &address).map(drop)
}
