//! The command line, as processes on a SQLite file of their own.

mod config;
mod events;
mod exit;
mod graph;
mod health;
mod help;
mod logs;
mod operate;
mod run;
mod schedules;
mod show;
mod stats;
mod support;
mod tasks;
mod watch;
