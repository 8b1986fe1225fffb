#![allow(unused)]

use hereafter::register_task;

mod telephony {
    #[derive(serde::Serialize, serde::Deserialize)]
    pub struct Call {
        pub number: String,
    }
}

use telephony::Call;

#[register_task]
async fn dial(number: String) -> Call {
    Call { number }
}

fn main() {}
