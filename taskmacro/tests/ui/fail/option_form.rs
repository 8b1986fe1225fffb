#![allow(unused)]

use hereafter::prelude::*;

#[register_task(queue("mail"))]
fn in_parentheses() {}

#[register_task(timeout)]
fn without_value() {}

#[register_task(ignore_result = true)]
fn with_value() {}

#[register_task("mail")]
fn without_key() {}

#[register_task(queue = "mail" retries = 5)]
fn without_comma() {}

#[register_task(queue = NAME)]
fn constant() {}

const NAME: &str = "mail";

fn main() {
    in_parentheses().call();
    without_value().call();
    with_value().call();
    without_key().call();
    without_comma().call();
    constant().call();
}
