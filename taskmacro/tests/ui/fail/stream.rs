use futures::stream::{self, Stream};
use hereafter::prelude::*;

struct Opaque;

#[register_task]
fn not_storable() -> impl Stream<Item = Opaque> {
    stream::empty()
}

#[register_task]
fn in_a_result() -> Result<impl Stream<Item = u8>, String> {
    Ok(stream::empty())
}

#[register_task]
fn alias() -> impl Stream<Item = std::io::Result<u8>> {
    stream::empty()
}

#[register_task]
fn borrowed() -> impl Stream<Item = &'static str> {
    stream::empty()
}

#[register_task(on_demand)]
fn no_stream() -> u8 {
    0
}

#[register_task(window = 3)]
fn no_demand() -> impl Stream<Item = u8> {
    stream::empty()
}

#[register_task(on_demand = 3, patience = "0s")]
fn wrong_values() -> impl Stream<Item = u8> {
    stream::empty()
}

#[register_task]
fn iterator() -> impl Iterator<Item = u8> {
    0..3
}

fn main() {}
