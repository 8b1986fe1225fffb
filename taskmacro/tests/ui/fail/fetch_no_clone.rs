#![allow(unused)]

use std::convert::Infallible;

use hereafter::prelude::*;

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

fn main() {
    greet(&User { id: 1 });
}
