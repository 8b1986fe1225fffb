//! Prints the URL of a server and keeps it until its input ends: for shells, and to test what
//! becomes of a server when its user is killed.

use std::io::{Read, stdin};
use std::process::ExitCode;

use taskservers::{Cluster, MariaDb, Postgres, RabbitMq};

fn main() -> ExitCode {
    let kind = std::env::args().nth(1);
    match kind.as_deref() {
        Some("postgres") => until_input_ends(Postgres::shared().url()),
        Some("mariadb") => until_input_ends(MariaDb::shared().url()),
        Some("rabbitmq") => until_input_ends(RabbitMq::shared().url()),
        Some("own-postgres") => {
            let postgres = Postgres::start();
            until_input_ends(&postgres.url());
        }
        Some("own-mariadb") => {
            let mariadb = MariaDb::start();
            until_input_ends(&mariadb.url());
        }
        Some("own-rabbitmq") => {
            let rabbitmq = RabbitMq::start();
            until_input_ends(&rabbitmq.url());
        }
        Some("own-cluster") => {
            let cluster = Cluster::start(3);
            until_input_ends(&cluster.url_of(0));
        }
        _ => {
            eprintln!(
                "usage: taskservers postgres|mariadb|rabbitmq\n       \
                 taskservers own-postgres|own-mariadb|own-rabbitmq|own-cluster"
            );
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn until_input_ends(url: &str) {
    println!("{url}");
    // An error is an end too.
    let _ = stdin().read_to_end(&mut Vec::new());
}
