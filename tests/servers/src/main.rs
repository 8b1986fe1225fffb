//! Prints the URL of a server and keeps it until its input ends: for shells, and to test what
//! becomes of a server when its user is killed.

use std::io::{Read, stdin};
use std::process::ExitCode;

use taskservers::{MariaDb, Postgres};

fn main() -> ExitCode {
    let kind = std::env::args().nth(1);
    match kind.as_deref() {
        Some("postgres") => until_input_ends(Postgres::shared().url()),
        Some("mariadb") => until_input_ends(MariaDb::shared().url()),
        Some("own-postgres") => {
            let postgres = Postgres::start();
            until_input_ends(&postgres.url());
        }
        Some("own-mariadb") => {
            let mariadb = MariaDb::start();
            until_input_ends(&mariadb.url());
        }
        _ => {
            eprintln!("usage: taskservers postgres|mariadb|own-postgres|own-mariadb");
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
