//! A server of our own, where none is given.

use super::client::{PATIENCE, connect};
use crate::owned_names::OwnedNames;
use procession::__private::error::ErrorBuilder;
use procession::__private::transport::{Context, poll, process_token};
use procession::{Deadline, ErrorKind, Result};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A server of our own.
#[derive(Debug)]
pub(super) struct PrivateServer {
    process: Child,
    owner: u64,
    _names: OwnedNames,
}

impl PrivateServer {
    pub(super) fn start() -> Result<(PrivateServer, String)> {
        let operation = "starting redis-server";
        let program = find_server()?;
        let names = OwnedNames::new()?;
        let socket = names.path("redis.sock");
        let directory = names.path("");
        let mut command = Command::new(program);
        command
            .args([
                "--port",
                "0",
                "--unixsocketperm",
                "700",
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .args(["--daemonize", "no", "--loglevel", "warning"])
            .arg("--unixsocket")
            .arg(&socket)
            .arg("--dir")
            .arg(&directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // Ctrl-C at the terminal is ours to act on, not the server's.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let process = procession_sys::process::kill_with_parent(&mut command)
            .spawn()
            .during(operation, "redis-server")?;
        let mut server = PrivateServer {
            process,
            owner: process_token(),
            _names: names,
        };
        let url = format!("redis+unix://{}", socket.display());
        let deadline = Deadline::after(PATIENCE);
        loop {
            let error = match connect(&url) {
                Ok(_) => return Ok((server, url)),
                Err(error) => error,
            };
            if let Ok(Some(status)) = server.process.try_wait() {
                return Err(
                    ErrorBuilder::new(ErrorKind::ProcessDied, operation, "redis-server")
                        .because(format!(
                            "it {}",
                            procession::process::ExitStatus::from(status)
                        ))
                        .build(),
                );
            }
            if deadline.has_passed() {
                return Err(error);
            }
            poll::wait(&mut [], Deadline::after(Duration::from_millis(2)))?;
        }
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        if self.owner == process_token() {
            // It keeps nothing, so there is nothing to say goodbye for.
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

/// `redis-server` or its drop-in twin, from the search path.
fn find_server() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    for program in ["redis-server", "valkey-server"] {
        for directory in std::env::split_paths(&path) {
            let candidate = directory.join(program);
            if candidate.is_file() {
                return Ok(candidate);
            }
        }
    }
    Err(
        ErrorBuilder::new(ErrorKind::NotFound, "starting redis-server", "")
            .because("no server was given and redis-server is not installed")
            .with_hint("install it (`apt-get install redis-server`), or set REDIS_URL")
            .build(),
    )
}
