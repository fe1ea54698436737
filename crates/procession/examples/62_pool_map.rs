//! A function over many arguments: all at once, as they come, without end, put
//! together.

use procession::pool::Pool;

fn is_prime(n: u64) -> bool {
    n > 1
        && (2..)
            .take_while(|d| d * d <= n)
            .all(|d| !n.is_multiple_of(d))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = Pool::new(2)?;
    println!("{:?}", pool.map(is_prime, 1..=7)?);
    // Only so many arguments are taken as results are.
    let numbers = 1_000_000_000_000..;
    let mut primes = pool.imap(is_prime, numbers.clone()).zip(numbers);
    let first = primes.find(|(prime, _)| matches!(prime, Ok(true)));
    println!("the first prime beyond 10^12: {}", first.unwrap().1);
    let count = pool.map_reduce(|n| u64::from(is_prime(n)), |a, b| a + b, 1..=100_000)?;
    println!("primes up to 100000: {}", count.unwrap());
    Ok(())
}
