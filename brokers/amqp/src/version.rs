//! Which server this is. It says so before anybody logs in, to lapin, which does not pass it on;
//! so it is asked once more.

use std::fmt;
use std::io;

use futures::{AsyncReadExt, AsyncWriteExt};
use lapin::protocol::connection::AMQPMethod;
use lapin::protocol::{AMQPClass, parse_class};
use lapin::tcp::AMQPUriTcpExt;
use lapin::types::{AMQPValue, FieldTable};
use lapin::uri::AMQPUri;

/// A server, and its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Product {
    pub(crate) name: String,
    pub(crate) version: String,
}

/// How a server is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    Tested,
    Untested,
    TooOld,
    NoRabbitMq,
}

impl Product {
    /// Connects, listens, and goes without logging in.
    pub(crate) async fn of(uri: &AMQPUri) -> io::Result<Self> {
        let runtime = lapin::runtime::default_runtime().map_err(io::Error::other)?;
        let mut stream = uri.connect_async(&runtime).await?;
        stream.write_all(GREETING).await?;
        stream.flush().await?;
        // Its kind, its channel, its size (AMQP 0-9-1, section 4.2.3).
        let mut head = [0; 7];
        stream.read_exact(&mut head).await?;
        let [1, 0, 0, size @ ..] = head else { return Err(no_greeting()) };
        let size = usize::try_from(u32::from_be_bytes(size)).unwrap_or(usize::MAX);
        if size > GREETING_LIMIT {
            return Err(no_greeting());
        }
        let mut method = vec![0; size];
        stream.read_exact(&mut method).await?;
        match parse_class(method.as_slice()) {
            Ok((_, AMQPClass::Connection(AMQPMethod::Start(start)))) => {
                Ok(Self::told(&start.server_properties))
            }
            _ => Err(no_greeting()),
        }
    }

    fn told(properties: &FieldTable) -> Self {
        let text = |name: &str| match properties.inner().get(name) {
            Some(AMQPValue::LongString(text)) => String::from_utf8_lossy(text.as_bytes()).into(),
            _ => "unknown".to_owned(),
        };
        Self { name: text("product"), version: text("version") }
    }

    pub(crate) fn known(&self) -> Known {
        let mut numbers = self.version.split('.').map_while(|number| number.parse::<u32>().ok());
        match (numbers.next(), numbers.next()) {
            _ if self.name != "RabbitMQ" => Known::NoRabbitMq,
            (Some(3), Some(10)) => Known::Tested,
            (Some(major), Some(minor)) if (major, minor) < (3, 10) => Known::TooOld,
            _ => Known::Untested,
        }
    }
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

fn no_greeting() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it does not speak AMQP 0-9-1")
}

/// What a client says first.
const GREETING: &[u8] = b"AMQP\0\0\x09\x01";

/// Above what any server says of itself.
const GREETING_LIMIT: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str, version: &str) -> Known {
        Product { name: name.to_owned(), version: version.to_owned() }.known()
    }

    #[test]
    fn versions_go_by_their_numbers() {
        assert_eq!(known("RabbitMQ", "3.10.8"), Known::Tested);
        assert_eq!(known("RabbitMQ", "3.9.29"), Known::TooOld);
        assert_eq!(known("RabbitMQ", "3.13.7"), Known::Untested);
        assert_eq!(known("RabbitMQ", "4.1.0-rc.1"), Known::Untested);
        assert_eq!(known("RabbitMQ", "unknown"), Known::Untested);
        assert_eq!(known("Qpid", "3.10.8"), Known::NoRabbitMq);
    }
}
