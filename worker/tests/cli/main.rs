//! The command line, as processes on a store of their own: a SQLite file, or a PostgreSQL schema.

#[cfg(feature = "amqp")]
mod amqp;
mod config;
mod events;
mod exit;
mod graph;
mod health;
mod help;
mod logs;
mod migrate;
#[cfg(feature = "mysql")]
mod mysql;
mod operate;
#[cfg(feature = "postgres")]
mod postgres;
mod run;
mod schedules;
mod show;
mod stats;
mod support;
mod tasks;
mod watch;
