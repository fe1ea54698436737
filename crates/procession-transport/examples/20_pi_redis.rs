//! π by ten processes that push to a Redis list. Without `REDIS_URL` a
//! private server is started, if `redis-server` is installed.
use procession_pi::{DoubleDouble, pi_from, slices, sum};
use procession_transport::{Event, FanIn, Options, Transport, WorkerGroup};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut options = Options::default();
    options.redis_url = std::env::var("REDIS_URL").ok();
    let fan_in = match FanIn::open(Transport::Redis, 10, &options) {
        Err(error) if error.is_not_found() => {
            println!("no Redis here: {error}");
            return Ok(());
        }
        fan_in => fan_in?,
    };
    let slices: Vec<_> = slices(100_000_000, 10).collect();
    let mut group = WorkerGroup::start(fan_in, |worker, sender| {
        sender.send(&sum(slices[worker].clone()).to_le_bytes())
    })?;
    let mut total = DoubleDouble::default();
    while let Some(event) = group.next()? {
        match event {
            Event::Message { bytes, .. } => {
                total = total + DoubleDouble::from_le_bytes(&bytes).ok_or("a slice is 16 bytes")?;
            }
            Event::Finished { .. } => {}
            Event::Failed(error) => return Err(error.into()),
        }
    }
    println!("{}", pi_from(total));
    Ok(())
}
