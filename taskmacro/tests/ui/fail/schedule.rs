use hereafter::prelude::*;

#[register_task(cron = "61 * * * *")]
fn no_such_minute() {}

#[register_task(cron = "0 5 * * *", every = "10m")]
fn both() {}

#[register_task(every = "10m", tz = "Europe/Berlin")]
fn zone_of_an_interval() {}

#[register_task(every = "0s")]
fn always() {}

#[register_task(missed = "all")]
fn never() {}

#[register_task(cron = "0 5 * * *", tz = "in Berlin")]
fn no_zone() {}

#[register_task(cron = "0 5 * * *", missed = "some")]
fn some() {}

#[register_task(every = "10m")]
fn needs_arguments(name: String, #[arg(default)] _depth: u32, _limit: Option<u32>) {
    drop(name);
}

struct Report;

#[register_task]
impl Report {
    #[task(cron = "0 5 * * *")]
    fn print(&self) {}
}

fn main() {
    let _ = always().every("10m");
}
