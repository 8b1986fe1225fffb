#![allow(unused)]

use hereafter::prelude::*;

struct Picture;

#[register_task]
async fn load() -> Picture {
    Picture
}

#[register_task]
fn try_load() -> Result<Vec<Picture>, String> {
    Ok(Vec::new())
}

fn main() {
    let _ = load();
    let _ = try_load();
}
