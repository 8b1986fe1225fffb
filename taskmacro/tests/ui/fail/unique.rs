#![allow(unused)]

use hereafter::prelude::*;

#[register_task(unique = "")]
fn empty_key() {}

#[register_task(unique = 5)]
fn number() {}

#[register_task(unique)]
fn without_value() {}

#[register_task(unique = "a", unique_by = args)]
fn two_keys() {}

#[register_task(unique_by = "args")]
fn text() {}

#[register_task(unique_for = "10m")]
fn scope_without_key() {}

#[register_task(on_conflict = "reuse")]
fn conflict_without_key() {}

#[register_task(unique_by = args, unique_for = "0s")]
fn zero_span() {}

#[register_task(unique_by = args, unique_for = "10m", unique_while = "queued")]
fn two_scopes() {}

#[register_task(unique_by = args, unique_while = "running")]
fn no_such_scope() {}

#[register_task(unique_by = args, on_conflict = "ignore")]
fn no_such_answer() {}

fn main() {}
