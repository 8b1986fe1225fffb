#![allow(unused)]

use hereafter::prelude::*;

struct User;

#[register_task]
async fn greet(text: String, #[fetch] user: User) {}

#[register_task]
fn greet_maybe(#[fetch] user: &Option<User>) {}

fn main() {}
