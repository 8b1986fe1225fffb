//! A task is as visible as its function.

use hereafter::prelude::*;

mod outer {
    pub mod inner {
        use hereafter::prelude::*;

        #[register_task]
        pub(in crate::outer) fn near() -> u8 {
            1
        }

        #[register_task]
        pub fn far() -> u8 {
            super::private().call()
        }
    }

    #[register_task]
    fn private() -> u8 {
        inner::near().call()
    }

    use hereafter::register_task;
}

#[register_task]
fn here() -> u8 {
    outer::inner::far().call()
}

fn main() {
    assert_eq!(here().call(), 1);
}
