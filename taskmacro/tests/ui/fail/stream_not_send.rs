use std::rc::Rc;

use futures::stream::{self, Stream};
use hereafter::prelude::*;

#[register_task]
fn not_send() -> impl Stream<Item = u8> {
    let kept = Rc::new(1);
    stream::iter(0..3).map(move |n| n + *kept)
}

use futures::StreamExt;

fn main() {}
