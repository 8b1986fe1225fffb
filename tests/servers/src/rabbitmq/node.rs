//! One node of RabbitMQ: its files, its addresses, how it is run and how it is asked.
//!
//! Erlang's nodes find each other by a daemon that outlives them all, `epmd`. These need none: all nodes
//! of a cluster have one port, each on its own loopback address, and an address is part of the name.

use std::fs::{Permissions, create_dir, read_dir, read_to_string, set_permissions, write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use crate::account::Account;
use crate::folder::Folder;
use crate::programs::{find, find_beside, output};
use crate::server::{Plan, random};

/// A node that was started, or is about to be.
#[derive(Debug)]
pub(crate) struct Node {
    folder: PathBuf,
    host: Ipv4Addr,
    port: u16,
}

impl Node {
    pub(crate) fn of(plan: &Plan) -> Self {
        Self { folder: plan.folder.clone(), host: plan.host, port: plan.port }
    }

    /// What other nodes call it.
    pub(crate) fn name(&self) -> String {
        format!("rabbit@{}", self.beside())
    }

    /// `amqp://guest:guest@127.0.0.1:PORT/%2f`
    pub(crate) fn url(&self) -> String {
        format!("amqp://guest:guest@{}/%2f", self.place())
    }

    /// Where it listens: `127.0.0.1:PORT`
    pub(crate) fn place(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The value of Erlang expressions, with commas between them; else what the node says.
    pub(crate) fn eval(&self, erlang: &str) -> Result<String, String> {
        let cookie = read_to_string(self.folder.join(COOKIE)).map_err(|error| error.to_string())?;
        let mut command = Command::new(find("erl_call", "erlang-base"));
        command.arg("-address").arg(format!("{}:{}", self.beside(), self.port));
        // The exit code is of the question, not of the answer; so both outcomes are printed.
        command.args(["-c", &cookie, "-timeout", ANSWER_SECONDS, "-fetch_stdout", "-e"]);
        let question = format!(
            "try begin {erlang} end of Value -> io:format(\"value ~0p\", [Value]) \
             catch Class:Reason -> io:format(\"~0p\", [{{Class, Reason}}]) end.\n"
        );
        let printed = output(&mut command, &question)?;
        let answer = printed.strip_suffix("{ok, ok}").unwrap_or(&printed);
        answer.strip_prefix("value ").map(str::to_owned).ok_or_else(|| answer.to_owned())
    }

    /// What `rabbitmqctl` prints.
    pub(crate) fn ctl(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = account().command(&script("rabbitmqctl"), &self.folder);
        command.envs(self.environment()).arg("--silent").args(arguments);
        output(&mut command, "")
    }

    /// The address for other nodes and tools, on which no client is served.
    fn beside(&self) -> Ipv4Addr {
        let [.., number] = self.host.octets();
        Ipv4Addr::new(127, 1, 0, number)
    }

    /// For the node and for the tools that talk to it: nothing of an installed server's settings.
    fn environment(&self) -> Vec<(&'static str, String)> {
        let file = |name: &str| utf8(&self.folder.join(name)).to_owned();
        let mut environment = vec![
            ("HOME", file("")),
            ("RABBITMQ_NODENAME", self.name()),
            ("RABBITMQ_USE_LONGNAME", "true".to_owned()),
            ("RABBITMQ_NODE_IP_ADDRESS", self.host.to_string()),
            ("RABBITMQ_NODE_PORT", self.port.to_string()),
            ("RABBITMQ_CONF_ENV_FILE", file("rabbitmq-env.conf")),
            ("RABBITMQ_CONFIG_FILE", file(SETTINGS)),
            ("RABBITMQ_CONFIG_FILES", file("conf.d")),
            ("RABBITMQ_ADVANCED_CONFIG_FILE", file(MORE_SETTINGS)),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", file("enabled_plugins")),
            ("RABBITMQ_MNESIA_BASE", file("data")),
            ("RABBITMQ_LOG_BASE", file("")),
            ("RABBITMQ_LOGS", "-".to_owned()),
            // The process that is started becomes the server: no shell stays above it.
            ("RUNNING_UNDER_SYSTEMD", "true".to_owned()),
            // The server looks after an `epmd` from time to time: it shall neither start one nor find
            // that of the system.
            ("ERL_FLAGS", "-start_epmd false".to_owned()),
            ("ERL_EPMD_ADDRESS", Ipv4Addr::LOCALHOST.to_string()),
            ("ERL_EPMD_PORT", "1".to_owned()),
            ("ERL_CRASH_DUMP_SECONDS", "0".to_owned()),
            ("RABBITMQ_CTL_ERL_ARGS", format!("-erl_epmd_port {} -dist_listen false", self.port)),
        ];
        if self.folder.join(PARTS).is_dir() {
            environment.push(("RABBITMQ_PLUGINS_DIR", file(PARTS)));
        }
        environment
    }

    fn arguments(&self) -> Vec<String> {
        let interface = format!("{{{}}}", self.beside().to_string().replace('.', ","));
        let arguments = [
            // Its own to be found by: who looks for the process of a folder looks at the arguments.
            "-folder",
            utf8(&self.folder),
            "-name",
            &self.name(),
            "-erl_epmd_port",
            &self.port.to_string(),
            "-kernel",
            "inet_dist_use_interface",
            &interface,
            // Once a minute is the default: too seldom for who waits for `consumer_timeout`.
            "-rabbit",
            "channel_tick_interval",
            "1000",
            "+S",
            "2:2",
        ];
        arguments.map(str::to_owned).to_vec()
    }
}

/// A folder for a node with these settings. Nodes with the same `cookie` talk to each other.
pub(crate) fn prepare(cookie: &str, settings: &[(&str, &str)]) -> Folder {
    let account = account();
    let folder = Folder::new("rabbitmq", account, DISCARD);
    let own = |name: &str, text: &str| {
        let path = folder.path().join(name);
        write(&path, text).expect("the folder is ours");
        account.take(&path);
        path
    };
    // Erlang refuses one that others may read.
    let cookie = own(COOKIE, cookie);
    set_permissions(cookie, Permissions::from_mode(0o400)).expect("the file is ours");
    own("enabled_plugins", "[].\n");
    let lines = ROOMY.iter().chain(settings).map(|(name, value)| format!("{name} = {value}\n"));
    own(SETTINGS, &lines.collect::<String>());
    own(MORE_SETTINGS, MOVE_AGAIN_SOON);
    link_parts(folder.path());
    folder
}

/// A new secret, by which no other server answers.
pub(crate) fn cookie() -> String {
    format!("{:016x}", random())
}

pub(crate) fn plan(folder: &Path, host: Ipv4Addr, port: u16) -> Plan {
    let node = Node { folder: folder.to_owned(), host, port };
    Plan {
        program: script("rabbitmq-server"),
        arguments: node.arguments(),
        environment: node.environment(),
        account: account(),
        folder: folder.to_owned(),
        host,
        port,
        stop: Signal::TERM,
        discard: DISCARD,
        is_ready,
        is_mended_by_start: false,
    }
}

/// The memory above which the server takes no more messages, as a part of the machine's.
pub(crate) const MEMORY_LIMIT: &str = "0.8";

/// Tests share the machine with builds and with each other: what these use is no reason to stop.
const ROOMY: &[(&str, &str)] =
    &[("vm_memory_high_watermark.relative", MEMORY_LIMIT), ("disk_free_limit.absolute", "1MB")];

/// The parts of the server that have the most modules. Erlang looks for each of a thousand modules in
/// the folders of all plugins, most of which are never used; with only these to look in first, the
/// start takes half the time (RabbitMQ 3.10.8, Erlang 25).
const FIRST: &[&str] = &["rabbit", "rabbit_common", "ra", "osiris", "cuttlefish", "ranch"];

fn link_parts(folder: &Path) {
    let home = script("rabbitmq-server");
    let home = home.ancestors().nth(2).expect("the script is in a folder of the server's");
    let Ok(plugins) = read_dir(home.join("plugins")) else { return };
    let plugins = plugins.filter_map(|entry| Some(entry.ok()?.path()));
    let parts: Vec<PathBuf> = plugins.filter(|it| is_first(it)).collect();
    // Packed in another way, they are found without.
    if parts.len() < FIRST.len() {
        return;
    }
    let links = folder.join(PARTS);
    create_dir(&links).expect("the folder is ours");
    // Else who removes the folder under this account could not.
    account().take(&links);
    for part in parts {
        let name = part.file_name().expect("it was read from a folder");
        symlink(&part, links.join(name)).expect("the folder is ours");
    }
}

/// Whether this is the folder (`ra-2.2.0`) of one of the [`FIRST`] parts.
fn is_first(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let part = name.and_then(|name| name.split_once('-')).map(|(part, _)| part);
    part.is_some_and(|part| FIRST.contains(&part)) && path.is_dir()
}

/// A listener could be somebody else's; the cookie could not.
fn is_ready(plan: &Plan) -> bool {
    TcpStream::connect((plan.host, plan.port)).is_ok()
        && Node::of(plan).eval("rabbit:is_booted()").is_ok_and(|answer| answer == "true")
}

fn account() -> Account {
    Account::of_server(&["rabbitmq", "nobody"])
}

/// A script of the server. Debian has one of the same name on the search path, for the server that
/// the system runs.
fn script(name: &str) -> PathBuf {
    let own = find_beside(Path::new("/usr/lib/rabbitmq/bin/rabbitmq-server"), name, PACKAGE);
    own.canonicalize().unwrap_or(own)
}

fn utf8(path: &Path) -> &str {
    path.to_str().expect("temporary folders are named in plain letters")
}

/// Nothing of it outlives its process but files.
const DISCARD: Signal = Signal::KILL;

const PACKAGE: &str = "rabbitmq-server";

const COOKIE: &str = ".erlang.cookie";

const SETTINGS: &str = "rabbitmq.conf";

const MORE_SETTINGS: &str = "advanced.config";

/// As docs/rabbitmq.md has it: a queue that dead-letters at least once, and whose confirms were lost by
/// a fault, does it again after this time, where the default is three minutes.
const MOVE_AGAIN_SOON: &str =
    "[{rabbit, [{dead_letter_worker_publisher_confirm_timeout, 5000}]}].\n";

const PARTS: &str = "parts";

/// For an answer, after which the question is given up.
const ANSWER_SECONDS: &str = "30";
