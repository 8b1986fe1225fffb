//! Where the programs of the servers are, and how they are asked something.

use std::env::{split_paths, var_os};
use std::fs::{canonicalize, read_dir};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program on the search path, in the folders of system programs, or where Debian keeps the newest
/// PostgreSQL.
///
/// # Panics
///
/// If it is nowhere, with the Debian `package` that has it.
pub(crate) fn find(program: &str, package: &str) -> PathBuf {
    let path = var_os("PATH").unwrap_or_default();
    // An ordinary user's search path often lacks these two.
    let system = ["/usr/local/sbin", "/usr/sbin"].map(PathBuf::from);
    let mut folders = split_paths(&path).chain(system).chain(newest_postgres());
    let found = folders.find_map(|folder| file_in(&folder, program));
    found.unwrap_or_else(|| {
        panic!("the program `{program}` is missing: `tests/run --install` installs it (Debian package {package})")
    })
}

/// A program from the folder of `other`, so that both are of one version; else wherever it is.
///
/// # Panics
///
/// As [`find`].
pub(crate) fn find_beside(other: &Path, program: &str, package: &str) -> PathBuf {
    let real = canonicalize(other).unwrap_or_else(|_| other.to_owned());
    let beside = real.parent().and_then(|folder| file_in(folder, program));
    beside.unwrap_or_else(|| find(program, package))
}

/// Runs a command that prepares or asks a server and gives what it printed.
pub(crate) fn output(command: &mut Command, input: &str) -> Result<String, String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program can be run");
    let mut pipe = child.stdin.take().expect("it was asked for");
    let input = input.to_owned();
    // Beside the reading: neither of two full pipes would move. A program that ends early reads
    // no more, and says why.
    let writer = std::thread::spawn(move || pipe.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("the program is our child");
    let _ = writer.join();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim_end().to_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

fn file_in(folder: &Path, program: &str) -> Option<PathBuf> {
    let file = folder.join(program);
    file.is_file().then_some(file)
}

fn newest_postgres() -> Option<PathBuf> {
    let versions = read_dir("/usr/lib/postgresql").ok()?.filter_map(|entry| {
        let path = entry.ok()?.path();
        let version: u32 = path.file_name()?.to_str()?.parse().ok()?;
        Some((version, path.join("bin")))
    });
    versions.max().map(|(_, folder)| folder)
}
