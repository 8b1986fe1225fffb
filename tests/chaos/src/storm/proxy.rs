//! [`Proxy`]: a way to a server on which things go wrong.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::select;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// What happens to everything that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weather {
    Fair,
    /// Each piece comes so much later.
    Late(Duration),
    /// Only so many bytes a second pass, in each direction of each connection.
    Slow(u32),
    /// Nothing passes, and nobody is told: what was sent is kept until the weather is fair again.
    Silent,
    /// Nothing passes, what was sent meanwhile is lost, and the connections break without a word once
    /// the weather is fair again: a host that vanished.
    Gone,
    /// New connections are refused; those that are open go on.
    Closed,
}

/// How connections end that are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// At once.
    Now,
    /// Once a part of what comes next has passed.
    InTheMiddle,
}

/// A port of this machine whose connections go on to a server.
#[derive(Debug)]
pub(super) struct Proxy {
    port: u16,
    weather: watch::Sender<Weather>,
    /// How often connections were cut, and how the last time.
    cuts: watch::Sender<(u64, Cut)>,
    /// Ends with this.
    _serving: JoinSet<()>,
}

/// What a connection looks at.
#[derive(Debug, Clone)]
struct Sky {
    weather: watch::Receiver<Weather>,
    cuts: watch::Receiver<(u64, Cut)>,
}

impl Proxy {
    /// A way to this port of this machine.
    pub(super) async fn start(target: u16) -> anyhow::Result<Self> {
        let here = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = TcpListener::bind(here(0)).await.context("no port is free for a proxy")?;
        let port = listener.local_addr()?.port();
        let (weather, weather_seen) = watch::channel(Weather::Fair);
        let (cuts, cuts_seen) = watch::channel((0, Cut::Now));
        let sky = Sky { weather: weather_seen, cuts: cuts_seen };
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, here(target), sky));
        Ok(Self { port, weather, cuts, _serving: serving })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// Ends all connections; the client sees a reset.
    pub(super) fn cut(&self, how: Cut) {
        self.cuts.send_modify(|(count, last)| (*count, *last) = (*count + 1, how));
    }
}

async fn serve(listener: TcpListener, target: SocketAddr, sky: Sky) {
    let mut connections = JoinSet::new();
    loop {
        // Out of descriptors, for example: it may pass.
        let Ok((client, _)) = listener.accept().await else {
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        connections.spawn(connect(client, target, sky.clone()));
    }
}

async fn connect(client: TcpStream, target: SocketAddr, sky: Sky) {
    if *sky.weather.borrow() == Weather::Closed {
        return reset(&client);
    }
    let Ok(server) = TcpStream::connect(target).await else { return reset(&client) };
    // As the ends would have it without this.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let is_cut = select! {
        is_cut = pass(&mut from_client, &mut to_server, sky.clone()) => is_cut,
        is_cut = pass(&mut from_server, &mut to_client, sky) => is_cut,
    };
    if is_cut {
        reset(from_client.as_ref());
        // Dropped, it would say goodbye first.
        to_client.forget();
    }
}

/// The other end is told at once, and that what it has sent may not have come.
fn reset(stream: &TcpStream) {
    // It may be closed already.
    let _ = stream.set_zero_linger();
}

/// Passes bytes on until an end closes, or the connection is cut: then the answer is yes.
async fn pass(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    mut sky: Sky,
) -> bool {
    let known = sky.cuts.borrow_and_update().0;
    let mut bytes = vec![0; PIECE];
    loop {
        let is_cut = |(count, how): &(u64, Cut)| *count > known && *how == Cut::Now;
        let read = select! {
            read = from.read(&mut bytes) => read.unwrap_or(0),
            _ = sky.cuts.wait_for(is_cut) => return true,
        };
        if read == 0 {
            return false;
        }
        select! {
            passes = wait(&mut sky.weather, read) => if !passes { return true },
            _ = sky.cuts.wait_for(is_cut) => return true,
        }
        let (count, how) = *sky.cuts.borrow();
        let is_cut_here = count > known && how == Cut::InTheMiddle;
        let piece = if is_cut_here { &bytes[..read / 2] } else { &bytes[..read] };
        if to.write_all(piece).await.is_err() || is_cut_here {
            return is_cut_here;
        }
    }
}

/// Waits as the weather has it before so many bytes pass; whether they do at all.
async fn wait(weather: &mut watch::Receiver<Weather>, bytes: usize) -> bool {
    let now = *weather.borrow_and_update();
    match now {
        Weather::Fair | Weather::Closed => true,
        Weather::Late(span) => {
            sleep(span).await;
            true
        }
        Weather::Slow(rate) => {
            sleep(Duration::from_secs_f64(bytes as f64 / f64::from(rate))).await;
            true
        }
        Weather::Silent => {
            // An error is the end of the proxy.
            weather.wait_for(|weather| *weather != Weather::Silent).await.is_ok()
        }
        Weather::Gone => {
            let _ = weather.wait_for(|weather| *weather != Weather::Gone).await;
            false
        }
    }
}

/// Bytes that pass at once.
const PIECE: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    /// A server that sends back what it gets.
    async fn echo() -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        port
    }

    async fn start() -> (Proxy, TcpStream) {
        let proxy = Proxy::start(echo().await).await.unwrap();
        let stream = open(&proxy).await;
        (proxy, stream)
    }

    async fn open(proxy: &Proxy) -> TcpStream {
        TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await.unwrap()
    }

    /// What comes back of it, up to an end or 0.3 s of silence.
    async fn answer(stream: &mut TcpStream, bytes: &[u8]) -> Result<Vec<u8>, std::io::Error> {
        stream.write_all(bytes).await?;
        let mut came = vec![0; bytes.len()];
        let mut length = 0;
        while length < came.len() {
            let read = stream.read(&mut came[length..]);
            match timeout(Duration::from_millis(300), read).await {
                Ok(Ok(0)) | Err(_) => break,
                Ok(read) => length += read?,
            }
        }
        came.truncate(length);
        Ok(came)
    }

    #[tokio::test]
    async fn what_passes_is_whole_and_may_be_late() {
        let (proxy, mut stream) = start().await;
        let large: Vec<u8> = (0..200_000_u32).map(|byte| byte as u8).collect();
        let (mut from, mut to) = stream.split();
        let mut came = vec![0; large.len()];
        let (sent, read) = tokio::join!(to.write_all(&large), from.read_exact(&mut came));
        sent.and(read.map(drop)).unwrap();
        assert!(came == large);
        proxy.set(Weather::Late(Duration::from_millis(60)));
        let since = Instant::now();
        assert_eq!(answer(&mut stream, b"abc").await.unwrap(), b"abc");
        assert!(since.elapsed() >= Duration::from_millis(120), "both ways are late");
    }

    #[tokio::test]
    async fn a_slow_way_takes_its_time() {
        let (proxy, mut stream) = start().await;
        proxy.set(Weather::Slow(10_000));
        let since = Instant::now();
        assert_eq!(answer(&mut stream, &[7; 1_000]).await.unwrap(), [7; 1_000]);
        assert!(since.elapsed() >= Duration::from_millis(200), "{:?}", since.elapsed());
    }

    #[tokio::test]
    async fn silence_keeps_what_was_sent_and_a_host_that_is_gone_loses_it() {
        let (proxy, mut stream) = start().await;
        proxy.set(Weather::Silent);
        assert_eq!(answer(&mut stream, b"abc").await.unwrap(), b"");
        proxy.set(Weather::Fair);
        let mut late = [0; 3];
        stream.read_exact(&mut late).await.unwrap();
        assert_eq!(&late, b"abc");
        proxy.set(Weather::Gone);
        assert_eq!(answer(&mut stream, b"def").await.unwrap(), b"");
        proxy.set(Weather::Fair);
        let mut rest = Vec::new();
        let read = timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
        assert!(read.is_ok_and(|read| read.is_err()), "it is broken");
        assert_eq!(rest, b"");
    }

    #[tokio::test]
    async fn connections_are_cut_and_refused_and_the_next_one_is_served() {
        let (proxy, mut stream) = start().await;
        assert_eq!(answer(&mut stream, b"abc").await.unwrap(), b"abc");
        proxy.cut(Cut::Now);
        sleep(Duration::from_millis(50)).await;
        assert!(answer(&mut stream, b"def").await.map_or(true, |came| came.is_empty()));
        proxy.set(Weather::Closed);
        // It may be noticed at once or later.
        if let Ok(mut refused) = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await {
            assert!(answer(&mut refused, b"ghi").await.map_or(true, |came| came.is_empty()));
        }
        proxy.set(Weather::Fair);
        assert_eq!(answer(&mut open(&proxy).await, b"jkl").await.unwrap(), b"jkl");
    }

    #[tokio::test]
    async fn a_cut_in_the_middle_lets_a_part_of_a_piece_pass() {
        let (proxy, mut stream) = start().await;
        assert_eq!(answer(&mut stream, b"abc").await.unwrap(), b"abc");
        proxy.cut(Cut::InTheMiddle);
        // Half of it comes to the server, which sends it back on a way that is cut by then.
        let came = answer(&mut stream, b"0123456789").await.unwrap_or_default();
        assert!(came.len() < 10, "{came:?}");
        assert_eq!(answer(&mut open(&proxy).await, b"jkl").await.unwrap(), b"jkl");
    }
}
