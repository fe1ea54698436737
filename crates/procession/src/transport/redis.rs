//! A Redis list that senders push to and the receiver pops from.
//!
//! Without a server to use, a private one is started when `redis-server` is
//! installed: on a Unix socket in a 0700 directory, without persistence, tied
//! to this process's life, and stopped at the end. On a given server the list
//! has an unguessable name, is deleted at the end, and expires by itself ten
//! minutes after its last use if nobody is left to delete it — the one place
//! where age decides, because that server may outlive this machine.

use super::frame::Inbox;
use super::lease::Lease;
use super::lifeline::{Held, Lifeline, lifeline};
use super::{Channel, Inlet, Outlet, ticket};
use crate::error::Context;
use crate::name::random_hex;
use crate::process::identity;
use crate::{Deadline, Error, ErrorKind, Result, poll};
use ::redis::{Client, Connection, RedisResult};
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Frames that may wait in the list before senders pause.
const MAX_BACKLOG: usize = 256;

/// Seconds after which a list that nobody uses is the server's to delete.
const EXPIRY_SECONDS: i64 = 600;

/// How long the receiver lets the server hold its question.
const SLICE: Duration = Duration::from_millis(20);

/// How long a server may take to start or to answer.
const PATIENCE: Duration = Duration::from_secs(5);

fn explain(error: ::redis::RedisError, operation: &'static str, url: &str) -> Error {
    // A password in the URL is nobody's business.
    let shown = url.rsplit_once('@').map_or(url, |(_, host)| host);
    let kind = if error.is_timeout() {
        ErrorKind::TimedOut
    } else if error.is_io_error() || error.is_connection_dropped() {
        ErrorKind::Disconnected
    } else {
        ErrorKind::Other
    };
    Error::new(kind, operation, shown).because(error.to_string())
}

/// Runs a conversation with the server while signals wait: a read with a time
/// limit is not restarted after a handler, and half an answer cannot be put
/// back. Conversations are short; the longest waits of the receiver are
/// [`SLICE`]s.
fn undisturbed<T>(talk: impl FnOnce() -> T) -> T {
    let mask = procession_sys::signal::Mask::all().block();
    let outcome = talk();
    if let Ok(mask) = mask {
        let _ = mask.install();
    }
    outcome
}

/// A server of our own.
#[derive(Debug)]
struct PrivateServer {
    process: Child,
    owner: u64,
    _lease: Lease,
}

impl PrivateServer {
    fn start() -> Result<(PrivateServer, String)> {
        let operation = "starting redis-server";
        let program = find_server()?;
        let lease = Lease::new()?;
        let socket = lease.path("redis.sock");
        let directory = lease.path("");
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
            owner: identity::token(),
            _lease: lease,
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
                    Error::new(ErrorKind::ProcessDied, operation, "redis-server")
                        .because(format!("it {}", crate::process::ExitStatus::from(status))),
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
        if self.owner == identity::token() {
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
    Err(Error::new(ErrorKind::NotFound, "starting redis-server", "")
        .because("no server was given and redis-server is not installed")
        .with_hint("install it (`apt-get install redis-server`), or set REDIS_URL"))
}

fn connect(url: &str) -> Result<Connection> {
    let operation = "connecting to Redis";
    let client = Client::open(url)
        .map_err(|error| explain(error, operation, url).of_kind(ErrorKind::InvalidInput))?;
    let connection = undisturbed(|| client.get_connection_with_timeout(PATIENCE))
        .map_err(|error| explain(error, operation, url))?;
    for set in [Connection::set_read_timeout, Connection::set_write_timeout] {
        set(&connection, Some(PATIENCE)).map_err(|error| explain(error, operation, url))?;
    }
    Ok(connection)
}

#[derive(Debug)]
pub(super) struct RedisChannel {
    url: String,
    list: String,
    server: Option<PrivateServer>,
    held: Held,
    lifeline: Lifeline,
}

impl RedisChannel {
    pub(super) fn new(url: Option<&str>) -> Result<RedisChannel> {
        let (url, server) = match url {
            Some(url) => {
                connect(url)?;
                (url.to_owned(), None)
            }
            None => {
                let (server, url) = PrivateServer::start()?;
                (url, Some(server))
            }
        };
        let (held, lifeline) = lifeline()?;
        Ok(RedisChannel {
            url,
            list: format!("procession:{}", random_hex()?),
            server,
            held,
            lifeline,
        })
    }
}

/// What a sender needs: the server and the list.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Route {
    url: String,
    list: String,
    lifeline: Lifeline,
}

impl Route {
    pub(super) fn open(self) -> Result<Box<dyn Outlet>> {
        let Route {
            url,
            list,
            lifeline,
        } = self;
        let connection = connect(&url)?;
        Ok(Box::new(RedisOutlet {
            connection: Secret(connection),
            url,
            list,
            lifeline,
        }))
    }
}

impl Channel for RedisChannel {
    fn route(&self, _sender: usize) -> Result<ticket::Route> {
        Ok(ticket::Route::Redis(Route {
            url: self.url.clone(),
            list: self.list.clone(),
            lifeline: self.lifeline.try_clone()?,
        }))
    }

    fn into_inlet(self: Box<Self>) -> Result<Box<dyn Inlet>> {
        let RedisChannel {
            url,
            list,
            server,
            held,
            ..
        } = *self;
        let connection = Secret(connect(&url)?);
        Ok(Box::new(RedisInlet {
            connection,
            url,
            list,
            taken: None,
            _server: server,
            _held: held,
        }))
    }
}

/// A connection, which knows passwords and does not print itself.
struct Secret(Connection);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}

#[derive(Debug)]
struct RedisOutlet {
    connection: Secret,
    url: String,
    list: String,
    lifeline: Lifeline,
}

impl Outlet for RedisOutlet {
    fn max_payload(&self) -> usize {
        256 * 1024
    }

    fn put(&mut self, frame: &[u8], deadline: Deadline) -> Result<()> {
        let connection = &mut self.connection.0;
        let mut push = ::redis::pipe();
        push.atomic().cmd("RPUSH").arg(&self.list).arg(frame);
        push.cmd("EXPIRE")
            .arg(&self.list)
            .arg(EXPIRY_SECONDS)
            .ignore();
        let pushed: RedisResult<(usize,)> = undisturbed(|| push.query(connection));
        let (mut backlog,) = pushed.map_err(|error| explain(error, "sending", &self.url))?;
        while backlog > MAX_BACKLOG {
            self.lifeline.check()?;
            if deadline.has_passed() {
                return Err(Error::new(deadline.error_kind(), "sending", ""));
            }
            poll::wait(
                &mut [],
                deadline.min(Deadline::after(Duration::from_millis(1))),
            )?;
            backlog = undisturbed(|| ::redis::cmd("LLEN").arg(&self.list).query(connection))
                .map_err(|error| explain(error, "sending", &self.url))?;
        }
        Ok(())
    }
}

#[derive(Debug)]
struct RedisInlet {
    connection: Secret,
    url: String,
    list: String,
    /// What `wait` was given and `drain` has not handed on.
    taken: Option<Vec<u8>>,
    _server: Option<PrivateServer>,
    _held: Held,
}

impl RedisInlet {
    fn pop(&mut self, most: usize) -> Result<Vec<Vec<u8>>> {
        let connection = &mut self.connection.0;
        let popped: RedisResult<Option<Vec<Vec<u8>>>> = undisturbed(|| {
            ::redis::cmd("LPOP")
                .arg(&self.list)
                .arg(most)
                .query(connection)
        });
        let popped = popped.map_err(|error| explain(error, "receiving", &self.url))?;
        Ok(self
            .taken
            .take()
            .into_iter()
            .chain(popped.unwrap_or_default())
            .collect())
    }
}

impl Inlet for RedisInlet {
    fn drain(&mut self, inbox: &mut Inbox) -> Result<bool> {
        let frames = self.pop(16)?;
        for frame in &frames {
            inbox.packet(frame)?;
        }
        Ok(!frames.is_empty())
    }

    fn drain_dead(&mut self, _sender: usize, inbox: &mut Inbox) -> Result<()> {
        // What the dead sender pushed is among the frames that are there now.
        let connection = &mut self.connection.0;
        let there: usize = undisturbed(|| ::redis::cmd("LLEN").arg(&self.list).query(connection))
            .map_err(|error| explain(error, "receiving", &self.url))?;
        for frame in self.pop(there.max(1))? {
            inbox.packet(&frame)?;
        }
        Ok(())
    }

    fn wait(&mut self, _also: &[BorrowedFd<'_>], deadline: Deadline) -> Result<()> {
        // Zero would mean "for ever" to the server.
        let left = deadline.remaining().unwrap_or(SLICE).min(SLICE);
        if left < Duration::from_millis(1) {
            return Ok(());
        }
        let connection = &mut self.connection.0;
        let popped: RedisResult<Option<(String, Vec<u8>)>> = undisturbed(|| {
            ::redis::cmd("BLPOP")
                .arg(&self.list)
                .arg(left.as_secs_f64())
                .query(connection)
        });
        let popped = popped.map_err(|error| explain(error, "receiving", &self.url))?;
        self.taken = popped.map(|(_, frame)| frame);
        Ok(())
    }
}

impl Drop for RedisInlet {
    fn drop(&mut self) {
        let connection = &mut self.connection.0;
        let _: RedisResult<()> =
            undisturbed(|| ::redis::cmd("DEL").arg(&self.list).query(connection));
    }
}
