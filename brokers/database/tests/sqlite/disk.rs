//! Disks that are full, and files that may not be written.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use taskbroker_database::sqlite::{SqliteBroker, SqliteOptions};
use taskcore::Payload;
use taskcore::broker::{Broker, BrokerError, Lookup, NewJob, Operate, ResultStore};

use crate::rig::{self, Rig, block_on, child, done, is_child, job, jobs, store, take, text};

fn large_jobs(count: usize) -> Vec<NewJob> {
    let envelope = Payload::from(vec![7; 10_000]);
    (0..count).map(|_| NewJob { envelope: envelope.clone(), ..job() }).collect()
}

/// Stores batches until one is refused; gives the error.
async fn fill(broker: &SqliteBroker) -> BrokerError {
    for _ in 0..1000 {
        if let Err(error) = broker.enqueue(&large_jobs(10)).await {
            return error;
        }
    }
    panic!("the store never became full");
}

#[tokio::test]
async fn a_full_store_refuses_with_the_file_and_the_remedy() {
    let rig = Rig::new();
    let broker = SqliteBroker::open(rig.options().max_size(1 << 20)).await.unwrap();
    let error = fill(&broker).await;
    assert!(matches!(error, BrokerError::Refused { .. }), "{error:?}");
    let text = text(&error);
    assert!(text.contains("tasks.db`: it cannot grow: free space on its disk"), "{text}");
}

#[tokio::test]
async fn a_full_store_keeps_what_it_accepted_and_goes_on_when_there_is_room() {
    let rig = Rig::new();
    let broker = SqliteBroker::open(rig.options().max_size(1 << 20)).await.unwrap();
    let first = jobs(10);
    store(&broker, &first).await;
    fill(&broker).await;
    // A refused batch is refused as a whole, and its neighbours in a transaction are not.
    let full = large_jobs(50);
    let small = vec![job()];
    let (refused, stored) = tokio::join!(broker.enqueue(&full), broker.enqueue(&small));
    assert!(refused.is_err());
    stored.unwrap();
    let ids: Vec<_> = full.iter().map(|job| job.id).collect();
    let lookups = broker.outcomes(&ids).await.unwrap();
    assert!(lookups.iter().all(|lookup| matches!(lookup, Lookup::Unknown)));
    drop(broker);

    let roomy = rig.open().await;
    let taken = take(&roomy, 10).await;
    let taken_ids: Vec<_> = taken.iter().map(|delivery| delivery.job).collect();
    assert_eq!(taken_ids, first.iter().map(|job| job.id).collect::<Vec<_>>());
    roomy.settle(&taken.iter().map(done).collect::<Vec<_>>()).await.unwrap();
    store(&roomy, &large_jobs(10)).await;
    let findings = roomy.check().await.unwrap();
    assert!(findings.iter().any(|finding| finding.detail == "sound"));
}

/// A limit that the system sets: the shell lowers how large a file the child may write, and
/// has it told by an error instead of a signal.
#[test]
fn a_write_that_the_system_denies_is_refused_with_the_file_and_the_remedy() {
    if let Some(path) = is_child() {
        let error = block_on(async {
            let broker = SqliteBroker::open(SqliteOptions::file(path)).await.unwrap();
            store(&broker, &jobs(1)).await;
            fill(&broker).await
        });
        println!("refused={}", matches!(error, BrokerError::Refused { .. }));
        return println!("error={}", text(&error));
    }
    let rig = Rig::new();
    let test = "disk::a_write_that_the_system_denies_is_refused_with_the_file_and_the_remedy";
    let direct = child(test, &rig.path());
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; ulimit -f 4096; exec \"$0\" \"$@\""]);
    shell.arg(direct.get_program()).args(direct.get_args());
    shell.envs(direct.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = shell.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("refused=true"), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("tasks.db"), "{said}");
    assert!(said.contains("look at the disk") || said.contains("cannot grow"), "{said}");
    // What was accepted is there, and the store works again without the limit.
    block_on(async {
        let broker = rig.open().await;
        assert_eq!(take(&broker, 1).await.len(), 1);
        store(&broker, &large_jobs(10)).await;
    });
}

/// What a user without rights reads. Root may do everything, so a root test becomes nobody,
/// with a copy of this program in a folder that nobody can read.
fn refusal_to_nobody(test: &str, rig: &Rig, path: &Path) -> String {
    let folder = rig.path().parent().unwrap().to_owned();
    let folder = folder.as_path();
    let program = folder.join("program");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).unwrap();
    let this = child(test, path);
    let mut command = Command::new(program);
    command.args(this.get_args()).current_dir(folder);
    command.envs(this.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if std::fs::metadata(folder).unwrap().uid() == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let line = said.lines().find_map(|line| line.strip_prefix("error="));
    line.unwrap_or_else(|| panic!("{said}")).to_owned()
}

const NOBODY: u32 = 65_534;

fn print_refusal(path: &Path) {
    println!("error={}", block_on(rig::refusal(SqliteOptions::file(path))));
}

fn with_mode(mode: u32) -> Rig {
    let rig = Rig::new();
    block_on(async { rig.open().await.close().await.unwrap() });
    std::fs::set_permissions(rig.path(), PermissionsExt::from_mode(mode)).unwrap();
    rig
}

#[test]
fn a_read_only_file_is_refused_with_the_remedy() {
    if let Some(path) = is_child() {
        return print_refusal(&path);
    }
    let rig = with_mode(0o444);
    let test = "disk::a_read_only_file_is_refused_with_the_remedy";
    let error = refusal_to_nobody(test, &rig, &rig.path());
    assert!(error.contains("tasks.db") && error.contains("read-only"), "{error}");
    assert!(error.contains("make the file and its folder writable"), "{error}");
}

#[test]
fn a_file_that_may_not_be_read_is_refused_with_the_remedy() {
    if let Some(path) = is_child() {
        return print_refusal(&path);
    }
    let rig = with_mode(0o000);
    let test = "disk::a_file_that_may_not_be_read_is_refused_with_the_remedy";
    let error = refusal_to_nobody(test, &rig, &rig.path());
    assert!(error.contains("tasks.db") && error.contains("let this user read"), "{error}");
}

#[test]
fn a_folder_that_may_not_be_written_is_refused_with_the_remedy() {
    if let Some(path) = is_child() {
        return print_refusal(&path);
    }
    let rig = Rig::new();
    let inner = rig.path().with_file_name("inner");
    std::fs::create_dir(&inner).unwrap();
    std::fs::set_permissions(&inner, PermissionsExt::from_mode(0o555)).unwrap();
    let test = "disk::a_folder_that_may_not_be_written_is_refused_with_the_remedy";
    let error = refusal_to_nobody(test, &rig, &inner.join("tasks.db"));
    assert!(error.contains("inner/tasks.db`: it cannot be opened"), "{error}");
    assert!(error.contains("let this user read and write there"), "{error}");
}
