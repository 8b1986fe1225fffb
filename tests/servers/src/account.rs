//! The account under which a server runs.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::process::geteuid;

/// Whom a server runs as. Database servers refuse to run as root.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Account {
    /// The user who runs the tests.
    Own,
    /// An account of the system, because root runs the tests.
    Other { uid: u32, gid: u32 },
}

impl Account {
    /// The first of `names` that the system has, if root asks; else the user's own.
    pub(crate) fn of_server(names: &[&str]) -> Self {
        if !geteuid().is_root() {
            return Self::Own;
        }
        let passwd = std::fs::read_to_string("/etc/passwd").expect("the system lists its accounts");
        let found = names.iter().find_map(|name| in_passwd(&passwd, name));
        found.unwrap_or_else(|| {
            panic!("servers do not run as root, and there is no account {names:?}")
        })
    }

    /// A command under this account that starts in `folder`, which it may enter.
    pub(crate) fn command(self, program: &Path, folder: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(folder);
        if let Self::Other { uid, gid } = self {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Makes the file or folder this account's.
    pub(crate) fn take(self, path: &Path) {
        if let Self::Other { uid, gid } = self {
            chown(path, Some(uid), Some(gid)).expect("root may give its own files away");
        }
    }
}

fn in_passwd(passwd: &str, name: &str) -> Option<Account> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2).map(str::parse);
    match (fields.next(), fields.next()) {
        (Some(Ok(uid)), Some(Ok(gid))) => Some(Account::Other { uid, gid }),
        _ => None,
    }
}
