#![allow(unused)]

use std::rc::Rc;

use hereafter::prelude::*;

#[register_task]
async fn wait() -> u8 {
    let shared = Rc::new(1);
    std::future::ready(()).await;
    *shared
}

fn main() {
    let _ = wait();
}
