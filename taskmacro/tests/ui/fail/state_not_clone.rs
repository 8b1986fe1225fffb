#![allow(unused)]

use hereafter::prelude::*;

struct Pool;

#[register_task]
async fn save(State(pool): State<Pool>, path: String) {
    let _ = (pool, path);
}

fn main() {
    let _ = save("path");
}
