#![allow(unused)]

use std::convert::Infallible;

use hereafter::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
struct User {
    id: u64,
}

impl Record for User {
    type Key = u64;
    type From = ();
    type Error = Infallible;

    fn key(&self) -> u64 {
        self.id
    }

    async fn load(id: u64, (): ()) -> Result<Option<Self>, Infallible> {
        Ok(Some(Self { id }))
    }
}

#[register_task]
fn greet(#[fetch] user: User) {}

#[register_task]
fn make() -> User {
    User { id: 1 }
}

fn main() {
    greet(make());
    greet("one");
    greet(1).call();
}
