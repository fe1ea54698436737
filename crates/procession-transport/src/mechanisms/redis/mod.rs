//! A Redis list that senders push to and the receiver pops from.
//!
//! Without a server to use, a private one is started when `redis-server` is
//! installed: on a Unix socket in a 0700 directory, without persistence, tied
//! to this process's life, and stopped at the end. On a given server the list
//! has an unguessable name, is deleted at the end, and expires by itself ten
//! minutes after its last use if nobody is left to delete it — the one place
//! where age decides, because that server may outlive this machine.

#[cfg(not(feature = "redis"))]
mod absent;
#[cfg(feature = "redis")]
mod client;
#[cfg(feature = "redis")]
mod list;
#[cfg(feature = "redis")]
mod server;

#[cfg(not(feature = "redis"))]
use absent::RedisList;
#[cfg(feature = "redis")]
use list::RedisList;

use crate::facts::{Boundaries, Facts, Lifetime, Reach};
use crate::mechanism::Mechanism;
use crate::options::Options;
use procession::__private::limits;
use procession::Result;

/// One list.
pub(crate) struct Redis;

impl Mechanism for Redis {
    const NAME: &'static str = "redis";

    type Channel = RedisList;

    fn facts() -> Facts {
        Facts {
            boundaries: Boundaries::Messages,
            named: true,
            lifetime: Lifetime::Server,
            largest_message: Some(512 << 20),
            reach: Reach::Server,
            limits: vec![limits::open_files()],
        }
    }

    fn open(_senders: usize, options: &Options) -> Result<RedisList> {
        RedisList::new(options.redis_url.as_deref())
    }
}
