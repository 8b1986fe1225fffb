#![allow(unused)]

#[hereafter::test]
fn plain() {}

#[hereafter::test]
async fn two(client: hereafter::Client, n: u8) {}

#[hereafter::test(queue = "mail")]
async fn option() {}

fn main() {}
