//! Connections that nobody can listen in on.

use std::path::PathBuf;

use taskbroker_database::postgres::{PostgresBroker, PostgresOptions};
use taskservers::Postgres;
use tempfile::TempDir;

use crate::rig::{Rig, in_time, jobs, refusal, store};

/// A server with a certificate of an authority of its own, for `localhost`.
struct Sealed {
    server: Postgres,
    folder: TempDir,
}

/// Run by the server, whose keys must be its own.
const CERTIFY: &str = "umask 077
    openssl ecparam -name prime256v1 -genkey -noout -out root.key
    openssl ecparam -name prime256v1 -genkey -noout -out server.key
    openssl req -x509 -key root.key -days 2 -subj /CN=authority -out root.crt
    openssl req -new -key server.key -subj /CN=localhost -out server.csr
    printf \"subjectAltName=DNS:localhost\\nbasicConstraints=CA:FALSE\\n\" > server.ext
    openssl x509 -req -in server.csr -CA root.crt -CAkey root.key -CAcreateserial -days 2 \
        -extfile server.ext -out server.crt";

impl Sealed {
    fn start() -> Self {
        let server = Postgres::start();
        let script = CERTIFY.trim().replace('\n', " && ");
        server.psql(&format!("COPY (SELECT 1) TO PROGRAM $it$({script}) 2> openssl.log$it$"));
        server.psql("ALTER SYSTEM SET ssl = on");
        server.psql("SELECT pg_reload_conf()");
        let folder = tempfile::tempdir().unwrap();
        let sealed = Self { server, folder };
        std::fs::write(sealed.root(), sealed.server.psql("SELECT pg_read_file('root.crt')"))
            .unwrap();
        sealed
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root.crt")
    }

    fn options(&self, host: &str, query: &str) -> PostgresOptions {
        let url = self.server.url().replace("127.0.0.1", host);
        PostgresOptions::parse(&format!("{url}?{query}")).unwrap()
    }
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_it_is_required() {
    let rig = Rig::shared();
    let options = PostgresOptions::parse(&format!("{}?sslmode=require", rig.url)).unwrap();
    let text = refusal(options).await;
    assert!(text.contains("look at the URL, and `sslmode`"), "{text}");
}

#[tokio::test]
async fn a_server_with_tls_is_talked_to_by_it() {
    let sealed = Sealed::start();
    let root = format!("sslrootcert={}", sealed.root().display());
    for query in ["sslmode=require".to_owned(), format!("sslmode=verify-full&{root}")] {
        let options = sealed.options("localhost", &query);
        let broker = in_time(PostgresBroker::open(options)).await.unwrap();
        store(&broker, &jobs(1)).await;
        let sealed_sessions =
            "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
             WHERE application_name = 'hereafter'";
        assert_eq!(sealed.server.psql(sealed_sessions).trim(), "t", "{query}");
        taskcore::broker::Broker::close(&*broker).await.unwrap();
    }
    let text = refusal(sealed.options("localhost", "sslmode=verify-full")).await;
    assert!(text.contains("certificates"), "an unknown authority: {text}");
    let text = refusal(sealed.options("127.0.0.1", &format!("sslmode=verify-full&{root}"))).await;
    assert!(text.contains("certificates"), "another name: {text}");
}
