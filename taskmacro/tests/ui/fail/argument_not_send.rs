#![allow(unused)]

use hereafter::prelude::*;

#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Picture(std::marker::PhantomData<*const u8>);

#[register_task]
fn shrink(picture: Picture) {
    let _ = picture;
}

fn main() {}
