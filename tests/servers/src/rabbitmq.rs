//! RabbitMQ.

mod certificate;
mod cluster;
mod node;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

pub use cluster::Cluster;

use self::certificate::Certificate;
use self::node::{MEMORY_LIMIT, Node, cookie, plan, prepare};
use crate::process::holds_within;
use crate::server::{Plan, START_LIMIT, Server, free_port};
use crate::shared::{Kind, Shared};

/// A RabbitMQ server of one's own, gone when it is dropped.
///
/// It is as durable as an installed one, and has no plugins. The user `guest` may do everything. The
/// data is in the system's temporary folder (`TMPDIR`).
#[derive(Debug)]
pub struct RabbitMq {
    server: Server,
    /// Of a server that is reached by TLS, too.
    sealed: Option<Sealed>,
}

#[derive(Debug)]
struct Sealed {
    port: u16,
    certificate: Certificate,
}

impl RabbitMq {
    /// A new server with nothing in it but the virtual host `/`.
    ///
    /// # Panics
    ///
    /// If the programs are missing, or it does not start: with its log.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// A new server with these settings of `rabbitmq.conf` besides its own.
    ///
    /// With `("consumer_timeout", "1000")` it closes the channel of a consumer that has not
    /// acknowledged for so many milliseconds, and looks for such each second.
    ///
    /// # Panics
    ///
    /// As [`RabbitMq::start`].
    #[must_use]
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        let server = Server::start(prepare(&cookie(), settings), alone);
        Self { server, sealed: None }
    }

    /// A new server that is also reached by TLS, as `localhost`.
    ///
    /// # Panics
    ///
    /// As [`RabbitMq::start`].
    #[must_use]
    pub fn start_sealed() -> Self {
        let certificate = Certificate::new();
        let port = free_port();
        let listener = format!("127.0.0.1:{port}");
        let settings = [
            ("listeners.ssl.1", listener.as_str()),
            ("ssl_options.certfile", certificate.certificate()),
            ("ssl_options.keyfile", certificate.key()),
        ];
        let server = Self::start_with(&settings).server;
        Self { server, sealed: Some(Sealed { port, certificate }) }
    }

    /// The one server of all test processes of a run; started if it does not run. Tests keep apart by
    /// the names of their queues ([`Shared::prefix`]).
    ///
    /// # Panics
    ///
    /// As [`RabbitMq::start`].
    #[must_use]
    pub fn shared() -> Shared {
        Shared::of(&KIND)
    }

    /// `amqp://guest:guest@127.0.0.1:PORT/%2f`
    #[must_use]
    pub fn url(&self) -> String {
        self.node().url()
    }

    /// `amqps://guest:guest@localhost:PORT/%2f`
    ///
    /// # Panics
    ///
    /// If it is not of [`RabbitMq::start_sealed`].
    #[must_use]
    pub fn sealed_url(&self) -> String {
        format!("amqps://guest:guest@localhost:{}/%2f", self.sealed().port)
    }

    /// The file with the certificate of the authority that vouches for the server; no system trusts it.
    ///
    /// # Panics
    ///
    /// If it is not of [`RabbitMq::start_sealed`].
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.sealed().certificate.authority()
    }

    /// Stops it, which ends every connection, and starts it on the same port.
    ///
    /// # Panics
    ///
    /// If it does not stop or start.
    pub fn restart(&mut self) {
        self.stop();
        self.start_again();
    }

    /// Stops it in good order: connections end, everything is written.
    ///
    /// # Panics
    ///
    /// If it does not stop.
    pub fn stop(&mut self) {
        self.server.stop();
    }

    /// Starts it on the same port after [`RabbitMq::stop`] or [`RabbitMq::kill`].
    ///
    /// # Panics
    ///
    /// If it runs, or does not start.
    pub fn start_again(&mut self) {
        self.server.start_again();
    }

    /// Kills it like a crash.
    ///
    /// A quorum queue that was declared in the half second before does not come back as it was: it has
    /// no leader, so that who uses it waits for ever, and what was confirmed is gone (RabbitMQ 3.10.8;
    /// rabbitmq-server issue 15725). Where that is not what is tested, see [`RabbitMq::save_queues`].
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Makes it stand still with every connection open: nobody is refused and nobody answered.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn freeze(&self) {
        self.server.freeze();
    }

    /// Lets it go on after [`RabbitMq::freeze`].
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn thaw(&self) {
        self.server.thaw();
    }

    /// Stops what serves clients, which ends every connection; the process stays. It takes a tenth of
    /// the time of [`RabbitMq::stop`].
    ///
    /// # Panics
    ///
    /// With the server's words, if it fails.
    pub fn stop_serving(&self) {
        self.eval("ok = rabbit:stop()");
    }

    /// Serves clients again after [`RabbitMq::stop_serving`].
    ///
    /// # Panics
    ///
    /// With the server's words, if it fails; with its log, if it does not serve within a minute.
    pub fn serve_again(&self) {
        let plan = self.server.plan();
        let serves = holds_within(START_LIMIT, || {
            // While its first start comes to an end it answers without doing anything; and else before
            // it lets clients in. Once it serves, this changes nothing.
            self.eval("ok = rabbit:start()");
            (plan.is_ready)(plan)
        });
        assert!(serves, "the server does not serve again:\n{}", plan.end_of_log());
    }

    /// Makes it short of memory, as it believes: who publishes is blocked.
    ///
    /// # Panics
    ///
    /// With the server's words, if it fails.
    pub fn raise_alarm(&self) {
        self.limit_memory("0.0");
    }

    /// Ends what [`RabbitMq::raise_alarm`] began.
    ///
    /// # Panics
    ///
    /// With the server's words, if it fails.
    pub fn clear_alarm(&self) {
        self.limit_memory(MEMORY_LIMIT);
    }

    /// Ends every connection as an operator does, with a reason that clients are told of; how many
    /// there were.
    ///
    /// # Panics
    ///
    /// With the server's words, if it fails.
    pub fn close_connections(&self, reason: &str) -> usize {
        let closed = self.eval(&format!(
            "length([rabbit_networking:close_connection(It, binary_to_list({})) \
             || It <- rabbit_networking:connections_local()])",
            binary(reason)
        ));
        closed.parse().expect("a length is a number")
    }

    /// Gives the user `guest` another password, so that who logs in from now on by [`RabbitMq::url`] is
    /// refused. Connections stay.
    ///
    /// # Panics
    ///
    /// With the server's words, if it fails.
    pub fn change_password(&self, password: &str) {
        self.eval(&format!(
            "ok = rabbit_auth_backend_internal:change_password(<<\"guest\">>, {}, <<\"tests\">>)",
            binary(password)
        ));
    }

    /// Deletes a queue with all that is in it.
    ///
    /// # Panics
    ///
    /// With the server's words, if there is no such queue.
    pub fn delete_queue(&self, name: &str) {
        self.eval(&format!(
            "{{ok, Queue}} = rabbit_amqqueue:lookup({}), \
             {{ok, _}} = rabbit_amqqueue:delete(Queue, false, false, <<\"tests\">>)",
            queue(name)
        ));
    }

    /// Has it write down which quorum queues it has, as it does by itself twice a second. Those that it
    /// has now survive [`RabbitMq::kill`].
    ///
    /// # Panics
    ///
    /// With the server's words, if it fails.
    pub fn save_queues(&self) {
        self.eval("[ok = dets:sync(Table) || Table <- dets:all()]");
    }

    /// The value of Erlang expressions, with commas between them, on the server: a few milliseconds,
    /// where [`RabbitMq::ctl`] takes half a second.
    ///
    /// # Panics
    ///
    /// With the server's words, if it fails or takes more than half a minute.
    pub fn eval(&self, erlang: &str) -> String {
        let value = self.node().eval(erlang);
        value.unwrap_or_else(|error| panic!("cannot evaluate `{erlang}`: {error}"))
    }

    /// Runs `rabbitmqctl` with these arguments and gives what it prints.
    ///
    /// # Panics
    ///
    /// With its words, if it fails.
    pub fn ctl(&self, arguments: &[&str]) -> String {
        let printed = self.node().ctl(arguments);
        printed.unwrap_or_else(|error| panic!("cannot run `rabbitmqctl {arguments:?}`: {error}"))
    }

    fn limit_memory(&self, part: &str) {
        self.eval(&format!("ok = vm_memory_monitor:set_vm_memory_high_watermark({part})"));
    }

    fn node(&self) -> Node {
        Node::of(self.server.plan())
    }

    fn sealed(&self) -> &Sealed {
        self.sealed.as_ref().expect("the server was started with TLS")
    }
}

const KIND: Kind = Kind {
    name: "rabbitmq",
    variable: "HEREAFTER_TEST_RABBITMQ",
    prepare: || prepare(&cookie(), &[]),
    plan: alone,
    url: |port| format!("amqp://guest:guest@127.0.0.1:{port}/%2f"),
};

/// A node without others.
fn alone(folder: &Path, port: u16) -> Plan {
    plan(folder, Ipv4Addr::LOCALHOST, port)
}

/// What Erlang calls a queue.
fn queue(name: &str) -> String {
    format!("rabbit_misc:r(<<\"/\">>, queue, {})", binary(name))
}

/// A text as Erlang reads it, whatever is in it.
fn binary(text: &str) -> String {
    let bytes: Vec<String> = text.bytes().map(|byte| byte.to_string()).collect();
    format!("<<{}>>", bytes.join(","))
}
