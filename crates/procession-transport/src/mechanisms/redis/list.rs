//! The list, its senders and its receiver.

use super::client::{QuietConnection, connect, explain, undisturbed};
use super::server::PrivateServer;
use crate::inbox::Inbox;
use crate::lifeline::{Held, Lifeline, lifeline};
use crate::mechanism::{Channel, Inlet, Outlet, Route};
use procession::__private::transport::{poll, random_hex, timed_out};
use procession::{Deadline, Result};
use redis::RedisResult;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// Frames that may wait in the list before senders pause.
const MAX_BACKLOG: usize = 256;

/// Seconds after which a list that nobody uses is the server's to delete.
const EXPIRY_SECONDS: i64 = 600;

/// How long the receiver lets the server hold its question.
const SLICE: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(crate) struct RedisList {
    url: String,
    list: String,
    server: Option<PrivateServer>,
    held: Held,
    lifeline: Lifeline,
}

impl RedisList {
    pub(super) fn new(url: Option<&str>) -> Result<RedisList> {
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
        Ok(RedisList {
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
pub(crate) struct RedisRoute {
    url: String,
    list: String,
    lifeline: Lifeline,
}

impl Route for RedisRoute {
    fn open(self) -> Result<Box<dyn Outlet>> {
        let RedisRoute {
            url,
            list,
            lifeline,
        } = self;
        let connection = connect(&url)?;
        Ok(Box::new(RedisOutlet {
            connection: QuietConnection(connection),
            url,
            list,
            lifeline,
        }))
    }
}

impl Channel for RedisList {
    type Route = RedisRoute;

    fn route(&self, _sender: usize) -> Result<RedisRoute> {
        Ok(RedisRoute {
            url: self.url.clone(),
            list: self.list.clone(),
            lifeline: self.lifeline.try_clone()?,
        })
    }

    fn into_inlet(self) -> Result<Box<dyn Inlet>> {
        let RedisList {
            url,
            list,
            server,
            held,
            ..
        } = self;
        let connection = QuietConnection(connect(&url)?);
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

#[derive(Debug)]
struct RedisOutlet {
    connection: QuietConnection,
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
        let mut push = redis::pipe();
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
                return Err(timed_out(deadline, "sending", ""));
            }
            poll::wait(
                &mut [],
                deadline.min(Deadline::after(Duration::from_millis(1))),
            )?;
            backlog = undisturbed(|| redis::cmd("LLEN").arg(&self.list).query(connection))
                .map_err(|error| explain(error, "sending", &self.url))?;
        }
        Ok(())
    }
}

#[derive(Debug)]
struct RedisInlet {
    connection: QuietConnection,
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
            redis::cmd("LPOP")
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
        let there: usize = undisturbed(|| redis::cmd("LLEN").arg(&self.list).query(connection))
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
            redis::cmd("BLPOP")
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
            undisturbed(|| redis::cmd("DEL").arg(&self.list).query(connection));
    }
}
