//! The command line, as processes on a SQLite file of their own.

mod config;
mod exit;
mod graph;
mod health;
mod help;
mod logs;
mod operate;
mod run;
mod support;
mod tasks;
