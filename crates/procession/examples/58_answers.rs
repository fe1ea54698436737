//! A message that says where to answer: handles travel in messages like any other
//! value, and files as well.

use procession::channel::{self, Writer};
use procession::queue::{self, Receiver};
use procession::{Handle, process};
use std::fs::File;
use std::io::{Read, Seek, Write};

type Request = (Handle<File>, Writer<usize>);

fn count_words(requests: Receiver<Request>) {
    for (mut file, answer) in requests.iter() {
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        answer.send(text.split_whitespace().count()).unwrap();
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (requests, to_do) = queue::bounded::<Request>(10)?;
    let mut servers = [0, 1].map(|_| process::spawn(count_words, to_do.clone()).unwrap());
    drop(to_do);
    for text in ["one", "two words", "and three words"] {
        let mut file = tempfile::tempfile()?;
        file.write_all(text.as_bytes())?;
        let (writer, answer) = channel::pipe()?;
        requests.send((file.into(), writer))?;
        println!("{text}: {}", answer.recv()?);
    }
    drop(requests);
    for server in &mut servers {
        server.join()?;
    }
    Ok(())
}
