use hereafter::prelude::*;

#[register_task]
fn count() -> u64 {
    3
}

async fn read(handle: Handle<u64>) {
    let _ = handle.stream();
    let _ = count().then_each(|n| count());
}

fn main() {}
