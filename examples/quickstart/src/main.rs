//! Hereafter in one file: `cargo run -p quickstart`.

use std::{error::Error, io, time::Duration};

use hereafter::prelude::*;
use hereafter::worker::{Shutdown, Worker};

/// A plain function: runs on the blocking pool.
#[register_task]
fn count_words(text: String) -> usize {
    text.split_whitespace().count()
}

/// An async function that may fail, and is then tried again.
#[register_task(retries = 3, backoff = "exponential(1s)", timeout = "30s")]
async fn greet(name: String) -> Result<String, io::Error> {
    Ok(format!("Hello, {name}!"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = hereafter::connect("sqlite://quickstart.db").await?;

    println!("here, now:    {} words", count_words("to be or not to be").call());

    let count = count_words("to be or not to be").delay().await?; // stored durably
    let hello = greet("Ada").call_after(Duration::from_millis(300)).await?;

    // Usually a program of its own, and on as many machines as you like.
    tokio::spawn(async { Worker::builder(client).build().run(&Shutdown::new()).await });

    println!("there, after: {} words", count.await?);
    println!("later:        {}", hello.await?);
    Ok(())
}
