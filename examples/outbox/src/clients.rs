//! Customers: they post orders as fast as they are answered, and remember what they were told.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use ureq::Agent;

/// An order that was posted once.
#[derive(Debug)]
pub(crate) struct Post {
    /// The customer, who is another one for each post.
    pub(crate) customer: String,
    pub(crate) answer: Answer,
}

/// What a customer knows of a post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The service has said that it is stored.
    Accepted,
    /// Nobody was there to take it.
    Refused,
    /// The service was killed before it answered.
    Unknown,
    /// The service has said that it cannot, and this is why; it may have happened all the same.
    Failed(String),
}

/// Posts until it is told to stop.
pub(crate) fn post_on(
    name: usize,
    address: &watch::Receiver<String>,
    stop: &AtomicBool,
) -> Vec<Post> {
    let config = Agent::config_builder().http_status_as_error(false);
    let agent = Agent::from(config.timeout_global(Some(TIMEOUT)).build());
    let mut posts = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        let customer = format!("{name}-{}@example.org", posts.len());
        let url = format!("{}/orders", *address.borrow());
        let answer = post(&agent, &url, &customer);
        if answer == Answer::Refused {
            // Somebody is on the way.
            sleep(PAUSE);
        }
        posts.push(Post { customer, answer });
    }
    posts
}

fn post(agent: &Agent, url: &str, customer: &str) -> Answer {
    let order = json!({ "customer": customer }).to_string();
    match agent.post(url).content_type("application/json").send(order) {
        Ok(answer) if answer.status() == 201 => Answer::Accepted,
        Ok(mut answer) => match answer.body_mut().read_to_string() {
            Ok(reason) => Answer::Failed(reason),
            Err(_) => Answer::Unknown,
        },
        Err(ureq::Error::Io(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Answer::Refused
        }
        Err(_) => Answer::Unknown,
    }
}

/// Longer than any wait for a lock.
const TIMEOUT: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(5);
