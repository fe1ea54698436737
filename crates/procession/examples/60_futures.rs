//! Queues in futures, on any executor: no thread for each.

use procession::process;
use procession::queue::{self, Receiver, RecvError, Sender};

fn double((comes, goes): (Receiver<u32>, Sender<u32>)) {
    for number in comes.iter() {
        goes.send(2 * number).unwrap();
    }
}

async fn talk(sender: Sender<u32>, receiver: Receiver<u32>) -> u32 {
    let sends = async {
        for number in 1..=100 {
            sender.send_async(number).await.unwrap();
        }
        drop(sender);
    };
    let receives = async {
        let mut sum = 0;
        loop {
            match receiver.recv_async().await {
                Ok(number) => sum += number,
                Err(RecvError::Disconnected(..)) => return sum,
                Err(error) => panic!("{error}"),
            }
        }
    };
    tokio::join!(sends, receives).1
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (there, comes) = queue::bounded(1)?;
    let (goes, back) = queue::bounded(1)?;
    let mut task = process::spawn(double, (comes, goes))?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    println!("{}", runtime.block_on(talk(there, back)));
    task.join()?;
    Ok(())
}
