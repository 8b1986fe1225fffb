//! `outbox chaos`: orders come in, processes are killed, and the books must be in order.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use futures::future::try_join_all;
use hereafter::Client;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::audit::Books;
use crate::clients::{Answer, Post, post_on};
use crate::keeper::{Role, kill};
use crate::place::Place;
use crate::shop::Shop;

#[derive(Debug, Args)]
pub(crate) struct Chaos {
    /// For how long processes are killed.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How many customers post at a time.
    #[arg(long, default_value_t = 8)]
    customers: usize,
    /// When processes are killed follows from it; printed, and random if it is not given.
    #[arg(long)]
    seed: Option<u64>,
    /// Stores jobs after their orders, in transactions of their own, which must be found.
    #[arg(long, hide = true)]
    apart: bool,
}

/// What happened.
#[derive(Debug, Default)]
struct Story {
    posts: Vec<Post>,
    service_kills: u32,
    worker_kills: u32,
    /// Jobs that had not ended when the last process was killed.
    open_jobs: usize,
    orders: usize,
    mails: usize,
    /// How many of the posts whose end no customer knows are stored.
    unknown_stored: usize,
    faults: Vec<String>,
}

impl Chaos {
    /// Runs it; a failure is a fault in the books.
    pub(crate) async fn run(&self, url: Option<&str>) -> anyhow::Result<ExitCode> {
        let seed = self.seed.unwrap_or_else(rand::random);
        let place = Place::make(url, seed).await?;
        println!("seed {seed}");
        let story = self.tell(&place.url(), seed).await;
        let is_in_order = story.as_ref().is_ok_and(|story| story.faults.is_empty());
        if is_in_order {
            place.remove().await?;
        } else {
            println!("the tables are left in {}", place.keep());
        }
        story?.print();
        Ok(if is_in_order { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn tell(&self, url: &str, seed: u64) -> anyhow::Result<Story> {
        let client = hereafter::connect(url).await?;
        let shop = Shop::open(url).await?;
        let mut story = self.disturb(url, seed).await?;

        let books = settled(&shop, &client).await?;
        story.open_jobs = books.open_jobs();
        story.faults = books.faults();

        let mut worker = Role::Worker.start(url).await?;
        let books = drained(&shop, &client).await?;
        kill(&mut worker).await?;
        story.faults.extend(books.faults());
        story.faults.extend(books.unfinished());
        story.faults.extend(books.broken_promises(&story.posts));
        story.count(&books);
        client.close().await?;
        Ok(story)
    }

    /// Customers post, and all processes are killed again and again; none is left in the end.
    async fn disturb(&self, url: &str, seed: u64) -> anyhow::Result<Story> {
        let (address, here) = watch::channel(NOWHERE.to_owned());
        let stop = Arc::new(AtomicBool::new(false));
        let customers = (0..self.customers.max(1)).map(|name| {
            let (here, stop) = (here.clone(), stop.clone());
            tokio::task::spawn_blocking(move || post_on(name, &here, &stop))
        });
        let customers: Vec<_> = customers.collect();
        let service = Role::Service { apart: self.apart, address };
        let until = Instant::now() + Duration::from_secs(self.seconds);
        let kills = tokio::try_join!(
            service.kill_on(url, seed, until),
            Role::Worker.kill_on(url, seed.wrapping_add(1), until)
        );
        stop.store(true, Ordering::SeqCst);
        let posts = try_join_all(customers).await.context("a customer panicked")?;
        let posts = posts.into_iter().flatten().collect();
        let (service_kills, worker_kills) = kills?;
        Ok(Story { posts, service_kills, worker_kills, ..Story::default() })
    }
}

/// The books after the last kill: a server may yet finish what it was told before.
async fn settled(shop: &Shop, client: &Client) -> anyhow::Result<Books> {
    let give_up = Instant::now() + SETTLE;
    loop {
        let books = Books::read(shop, client).await?;
        if books.faults().is_empty() || Instant::now() > give_up {
            return Ok(books);
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// The books when no job is open any more, or it takes too long.
async fn drained(shop: &Shop, client: &Client) -> anyhow::Result<Books> {
    let give_up = Instant::now() + DRAIN;
    loop {
        let books = Books::read(shop, client).await?;
        if books.open_jobs() == 0 || Instant::now() > give_up {
            return Ok(books);
        }
        sleep(Duration::from_millis(500)).await;
    }
}

impl Story {
    fn count(&mut self, books: &Books) {
        self.orders = books.orders.len();
        self.mails = books.mails.len();
        let stored: BTreeSet<&str> = books.orders.iter().map(|order| order.1.as_str()).collect();
        let unknown = self.posts.iter().filter(|post| post.answer == Answer::Unknown);
        self.unknown_stored =
            unknown.filter(|post| stored.contains(post.customer.as_str())).count();
    }

    fn posts(&self, which: impl Fn(&Answer) -> bool) -> usize {
        self.posts.iter().filter(|post| which(&post.answer)).count()
    }

    fn print(&self) {
        let unknown = self.posts(|answer| *answer == Answer::Unknown);
        println!("orders {}", self.orders);
        println!("mails {}", self.mails);
        println!("posts {}", self.posts.len());
        println!("  accepted {}", self.posts(|answer| *answer == Answer::Accepted));
        println!("  refused {}", self.posts(|answer| *answer == Answer::Refused));
        println!("  unknown {unknown}, of which {} are stored", self.unknown_stored);
        let failed: BTreeSet<&str> = self
            .posts
            .iter()
            .filter_map(|post| match &post.answer {
                Answer::Failed(reason) => Some(reason.as_str()),
                _ => None,
            })
            .collect();
        println!("  failed {}", self.posts(|answer| matches!(answer, Answer::Failed(_))));
        failed.iter().take(SHOWN).for_each(|reason| println!("    {reason}"));
        println!("kills {}", self.service_kills + self.worker_kills);
        println!("  of services {}", self.service_kills);
        println!("  of workers {}", self.worker_kills);
        println!("jobs open after the last kill {}", self.open_jobs);
        println!("faults {}", self.faults.len());
        self.faults.iter().take(SHOWN).for_each(|fault| println!("  {fault}"));
    }
}

/// Until the first service is there.
const NOWHERE: &str = "http://127.0.0.1:1";

const SETTLE: Duration = Duration::from_secs(10);

/// Leases of killed workers run out, and some jobs then run one at a time.
const DRAIN: Duration = Duration::from_secs(120);

/// The most lines of one kind.
const SHOWN: usize = 10;
