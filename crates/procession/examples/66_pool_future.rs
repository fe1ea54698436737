//! Tasks of a pool as futures, on any executor.

use procession::pool::{Pool, TaskError};

fn square(x: u64) -> u64 {
    x * x
}

async fn sum(pool: &Pool) -> Result<u64, TaskError> {
    let (three, four) = (pool.spawn(square, 3)?, pool.spawn(square, 4)?);
    let (three, four) = tokio::try_join!(three, four)?;
    Ok(three + four)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = Pool::new(2)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    println!("{}", runtime.block_on(sum(&pool))?);
    Ok(())
}
