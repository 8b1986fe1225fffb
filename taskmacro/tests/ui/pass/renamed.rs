//! The crate under another name, and through a macro of another crate.

extern crate hereafter as queue;

pub mod re_exported {
    pub use queue::*;
}

#[queue::register_task(crate = queue)]
async fn renamed(n: u8) -> u8 {
    n
}

macro_rules! task {
    ($name:ident) => {
        #[$crate::re_exported::register_task(crate = $crate::re_exported)]
        fn $name(#[arg(default)] n: u8) -> u8 {
            n
        }
    };
}

task!(made);

fn main() {
    let _ = renamed(1);
    assert_eq!(made(1).call(), 1);
}
