//! What happens where a process may not have more of something.

use procession::process::{self, Fork};
use procession::{ErrorKind, Result};
use procession_transport::{FanIn, Transport};
use rustix::process::{Resource, Rlimit};

/// Sends more than a file may hold.
fn send_much() -> Result<()> {
    let fan_in = FanIn::open(Transport::File, 1, &Default::default())?;
    let mut sender = fan_in.sender_token(0)?.into_sender()?;
    loop {
        sender.send(&[0; 30_000])?;
    }
}

pub(crate) fn a_file_beyond_the_limit_is_an_error() {
    match process::fork().unwrap() {
        Fork::Parent(child) => assert!(child.wait().unwrap().success()),
        Fork::Child => {
            let outcome = std::panic::catch_unwind(|| {
                let limit = Rlimit {
                    current: Some(100_000),
                    maximum: Some(100_000),
                };
                rustix::process::setrlimit(Resource::Fsize, limit).unwrap();
                let error = send_much().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::LimitReached, "{error}");
                assert!(error.to_string().contains("RLIMIT_FSIZE"), "{error}");
            });
            process::exit(i32::from(outcome.is_err()));
        }
    }
}
