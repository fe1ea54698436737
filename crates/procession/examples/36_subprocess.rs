//! Other programs: call one, talk with one, have one fail, join several.
use procession::Deadline;
use procession::process::{Command, CommandError, Stdio};
use std::time::Duration;

fn main() -> Result<(), CommandError> {
    procession::init();
    let status = Command::new("sh").args(["-c", "exit 3"]).status()?;
    println!("exit code: {:?}", status.code());

    let talking = Command::new("sort")
        .stdin(Stdio::Piped)
        .stdout(Stdio::Piped);
    let mut sort = talking.spawn().map_err(CommandError::NotStarted)?;
    let output = sort.communicate(b"set q=mx\npython.org\nexit\n", Deadline::NEVER);
    println!("{}", output.map_err(CommandError::NotStarted)?.text());

    let failing = "echo trying; echo no such host >&2; exit 1";
    let failed = Command::new("sh")
        .args(["-c", failing])
        .check()
        .unwrap_err();
    println!("{failed}");

    let slow = Command::new("sleep")
        .arg("60")
        .timeout(Duration::from_millis(20));
    println!("{}", slow.check().unwrap_err());

    let words = Command::new("printf").arg("b\\na\\nb\\n");
    let counted = words.pipe(Command::new("sort")).pipe(Command::new("uniq"));
    println!("{}", counted.check()?.text());
    Ok(())
}
