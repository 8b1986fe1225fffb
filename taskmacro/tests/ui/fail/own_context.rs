#![allow(unused)]

use hereafter::prelude::State;
use hereafter::register_task;

#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Context;

mod web {
    pub struct State<T>(pub T);
}

#[register_task]
fn draw(context: Context) {
    let _ = context;
}

#[register_task]
fn serve(state: web::State<u8>) {
    let _ = state;
}

#[register_task]
fn right(state: State<u8>) {
    let _ = state;
}

fn main() {}
