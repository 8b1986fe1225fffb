//! A certificate for `localhost`, of an authority of its own.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::programs::output;

/// The files, removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Certificate {
    folder: TempDir,
    certificate: String,
    key: String,
}

impl Certificate {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("hereafter-certificate-").tempdir();
        let folder = folder.expect("the system has a temporary folder");
        // Servers have accounts of their own.
        set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("the folder is ours");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", include_str!("certify.sh")]).current_dir(folder.path());
        output(&mut command, "").unwrap_or_else(|error| panic!("cannot certify: {error}"));
        let path = |name| folder.path().join(name).display().to_string();
        Self { certificate: path("server.crt"), key: path("server.key"), folder }
    }

    pub(crate) fn certificate(&self) -> &str {
        &self.certificate
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The certificate of who vouches for it.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.path().join("root.crt")
    }
}
