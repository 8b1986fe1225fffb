#![allow(unused)]

use hereafter::prelude::*;

#[register_task(name = "")]
fn empty() {}

#[register_task(name = "send mail")]
fn white_space() {}

#[register_task(name = "mail.send", alias = "mail.send")]
fn alias_is_name() {}

#[register_task(alias = "mail.old", alias = "mail.old")]
fn alias_twice() {}

fn main() {}
