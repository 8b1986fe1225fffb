#![allow(unused)]

use hereafter::prelude::*;
use serde::{Deserialize, Serialize};

struct User;

#[register_task]
fn with_arg(#[fetch] #[arg] user: User) {}

#[register_task]
fn with_default(#[arg(default)] #[fetch] user: Option<User>) {}

#[register_task]
fn twice(#[fetch] #[fetch] user: User) {}

#[register_task]
fn with_options(#[fetch(key)] user: User) {}

#[register_task]
fn on_context(#[fetch] cx: Context) {}

#[register_task]
fn on_state(#[fetch] state: State<u8>) {}

#[register_task]
fn on_pattern(#[fetch] State(state): State<u8>) {}

#[register_task]
fn taken_apart(#[fetch] User { .. }: User) {}

#[register_task]
fn changed(#[fetch] user: &mut User) {}

#[register_task]
fn with_lifetime(#[fetch] user: &'static User) {}

#[register_task]
fn borrowed_inside(#[fetch] user: Option<&User>) {}

#[derive(Clone, Serialize, Deserialize)]
struct Report;

#[register_task]
impl Report {
    #[task]
    fn print(#[fetch] &self) {}
}

fn main() {}
