//! RabbitMQ, when something goes wrong: with the server, with its queues, with what is in them.

mod access;
mod alarms;
mod cluster;
mod crowd;
mod delays;
mod foreign;
mod lab;
mod recovery;
mod topology;
