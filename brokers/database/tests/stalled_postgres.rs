//! A program that stands still in the middle of a transaction.
#![cfg(feature = "postgres")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use taskbroker_database::postgres::{PostgresBroker, PostgresOptions};
use taskcore::broker::{Due, Enqueued, NewJob, Unique, UniqueScope};
use taskcore::{JobId, OnConflict, Priority, QueueName};
use taskservers::Postgres;

/// How a transaction begins that runs alone.
const ALONE: &[u8] = b"SELECT pg_advisory_xact_lock(";

/// A wire to a server. Once it is armed, and the begin of a transaction that runs alone has passed,
/// nothing moves on it any more: so a program looks that was stopped there.
struct Wire {
    address: SocketAddr,
    armed: Arc<AtomicBool>,
    cut: Receiver<()>,
}

impl Wire {
    fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (armed, is_cut) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (cutter, cut) = channel();
        let watched = armed.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let server = TcpStream::connect(&server).unwrap();
                let [back, forth] =
                    [(&server, &client), (&client, &server)].map(|(from, to)| Way {
                        from: from.try_clone().unwrap(),
                        to: to.try_clone().unwrap(),
                        armed: watched.clone(),
                        is_cut: is_cut.clone(),
                    });
                let cutter = cutter.clone();
                thread::spawn(move || back.copy(None));
                thread::spawn(move || forth.copy(Some(&cutter)));
            }
        });
        Self { address, armed, cut }
    }
}

/// One direction of one connection.
struct Way {
    from: TcpStream,
    to: TcpStream,
    armed: Arc<AtomicBool>,
    is_cut: Arc<AtomicBool>,
}

impl Way {
    fn copy(mut self, cutter: Option<&Sender<()>>) {
        let mut bytes = [0; 65_536];
        while let Ok(count @ 1..) = self.from.read(&mut bytes) {
            let read = &bytes[..count];
            if self.is_cut.load(Ordering::SeqCst) {
                // The sockets stay open.
                loop {
                    thread::park();
                }
            }
            let cutter = cutter.filter(|_| self.armed.load(Ordering::SeqCst));
            let cutter = cutter.filter(|_| read.windows(ALONE.len()).any(|part| part == ALONE));
            if cutter.is_some() {
                self.is_cut.store(true, Ordering::SeqCst);
            }
            if self.to.write_all(read).is_err() {
                return;
            }
            if let Some(cutter) = cutter {
                cutter.send(()).unwrap();
            }
        }
    }
}

fn job(unique: Option<Unique>) -> NewJob {
    NewJob {
        id: JobId::new(),
        queue: QueueName::DEFAULT,
        task: "task".into(),
        priority: Priority::default(),
        due: Due::Now,
        expires_in: None,
        inputs: Vec::new(),
        unique,
        with_next: false,
        envelope: b"{}".to_vec().into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_stands_still_midway_does_not_hold_up_others_for_long() {
    let server = Postgres::shared();
    let (user, place) = server.url().split_once('@').unwrap();
    let (address, database) = place.split_once('/').unwrap();
    let wire = Wire::to(address.to_owned());
    let schema = server.schema();
    let open = async |url: &str| {
        let options = PostgresOptions::parse(url).unwrap().schema(&schema).unwrap().polling();
        PostgresBroker::open(options).await.unwrap().connection().broker
    };
    let stalled = open(&format!("{user}@{}/{database}", wire.address)).await;
    let other = open(server.url()).await;

    wire.armed.store(true, Ordering::SeqCst);
    let unique = Unique {
        key: "key".to_owned(),
        scope: UniqueScope::Unfinished,
        on_conflict: OnConflict::default(),
    };
    let alone = tokio::spawn(async move { stalled.enqueue(&[job(Some(unique))]).await });
    tokio::task::spawn_blocking(move || wire.cut.recv().unwrap()).await.unwrap();

    let since = Instant::now();
    assert_eq!(other.enqueue(&[job(None)]).await.unwrap(), [Enqueued::Stored]);
    let held_up = since.elapsed();
    assert!(!alone.is_finished(), "it did not stand still");
    assert!(held_up < Duration::from_secs(10), "it held others up for {held_up:?}");
    other.close().await.unwrap();
}
