//! Tasks in a library; whoever links it can delay them, and its worker can run them.

pub mod mail;
pub mod media;
