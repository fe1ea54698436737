//! Workers over any transport, one of which is killed: the others' messages
//! arrive, and the error says who died of what.
use procession::process::{self, Signal};
use procession_transport::{Event, FanIn, Options, Transport, WorkerGroup};

fn main() -> procession::Result<()> {
    let fan_in = FanIn::open(Transport::SysvMq, 3, &Options::default())?;
    let mut group = WorkerGroup::start(fan_in, |worker, sender| {
        sender.send(format!("hello from worker {worker}").as_bytes())?;
        if worker == 1 {
            process::send_signal_to_self(Signal::KILL)?;
        }
        Ok::<_, procession::Error>(())
    })?;
    let mut lines = Vec::new();
    while let Some(event) = group.next()? {
        lines.push(match event {
            Event::Message { worker, bytes } => {
                format!("{worker}: {}", String::from_utf8_lossy(&bytes))
            }
            Event::Finished { worker } => format!("{worker}: finished"),
            Event::Failed(error) => {
                format!(
                    "{}: failed over {}: {:?}",
                    error.worker,
                    error.transport,
                    error.signal()
                )
            }
        });
    }
    lines.sort();
    println!("{}", lines.join("\n"));
    Ok(())
}
