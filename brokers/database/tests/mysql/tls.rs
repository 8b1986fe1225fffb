//! Connections that nobody can listen in on.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use taskbroker_database::mysql::{MysqlBroker, MysqlOptions};
use taskservers::MariaDb;
use tempfile::TempDir;

use crate::rig::{in_time, jobs, refusal, store};

/// A server with a certificate of an authority of its own, for `localhost`.
struct Sealed {
    server: MariaDb,
    folder: TempDir,
}

/// The server has an account of its own, which must be able to read them.
const CERTIFY: &str = "set -e
    openssl ecparam -name prime256v1 -genkey -noout -out root.key
    openssl ecparam -name prime256v1 -genkey -noout -out server.key
    openssl req -x509 -key root.key -days 2 -subj /CN=authority -out root.crt
    openssl req -new -key server.key -subj /CN=localhost -out server.csr
    printf 'subjectAltName=DNS:localhost\\nbasicConstraints=CA:FALSE\\n' > server.ext
    openssl x509 -req -in server.csr -CA root.crt -CAkey root.key -CAcreateserial -days 2 \
        -extfile server.ext -out server.crt
    chmod 644 server.key server.crt";

impl Sealed {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let mut certify = Command::new("sh");
        let made = certify.args(["-c", CERTIFY]).current_dir(folder.path()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let path = |name| folder.path().join(name).display().to_string();
        let (certificate, key) = (path("server.crt"), path("server.key"));
        let server = MariaDb::start_with(&[("ssl_cert", &certificate), ("ssl_key", &key)]);
        // Who gets in has a connection with TLS.
        server
            .sql("CREATE USER app@'127.0.0.1' REQUIRE SSL; GRANT ALL ON test.* TO app@'127.0.0.1'");
        Self { server, folder }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root.crt")
    }

    fn options(&self, host: &str, query: &str) -> MysqlOptions {
        let url = self.server.url().replace("127.0.0.1", host).replace("root@", "app@");
        MysqlOptions::parse(&format!("{url}?{query}")).unwrap()
    }
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_it_is_required() {
    let server = MariaDb::shared();
    let options = MysqlOptions::parse(&format!("{}?ssl-mode=REQUIRED", server.url())).unwrap();
    let text = refusal(options).await;
    assert!(text.contains("look at the URL, and `ssl-mode`"), "{text}");
}

#[tokio::test]
async fn a_server_with_tls_is_talked_to_by_it() {
    let sealed = Sealed::start();
    let root = format!("ssl-ca={}", sealed.root().display());
    let text = refusal(sealed.options("localhost", "ssl-mode=DISABLED")).await;
    assert!(text.contains("look at user, password and grants"), "{text}");
    for query in ["ssl-mode=REQUIRED".to_owned(), format!("ssl-mode=VERIFY_IDENTITY&{root}")] {
        let options = sealed.options("localhost", &query);
        let broker = in_time(MysqlBroker::open(options)).await.unwrap();
        store(&broker, &jobs(1)).await;
    }
    let text = refusal(sealed.options("localhost", "ssl-mode=VERIFY_IDENTITY")).await;
    assert!(text.contains("certificates"), "an unknown authority: {text}");
    let query = format!("ssl-mode=VERIFY_IDENTITY&{root}");
    let text = refusal(sealed.options("127.0.0.1", &query)).await;
    assert!(text.contains("certificates"), "another name: {text}");
}
