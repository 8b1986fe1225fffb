//! `migrate`: bringing the tables of a store up to date.

use clap::Args;
use serde::Serialize;
use taskcore::broker::Migration;
use tokio::runtime::Builder;

use super::error::CliError;
use super::output::Output;
use super::settings::Settings;

/// Whether to do it.
#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    /// Print the statements instead of running them
    #[arg(long)]
    dry_run: bool,
}

/// What was or would be run.
#[derive(Debug, Serialize)]
struct Steps {
    dry_run: bool,
    migrations: Vec<Step>,
}

#[derive(Debug, Serialize)]
struct Step {
    version: i64,
    sql: String,
}

/// Runs the migrations that are missing, or prints them.
pub(crate) fn run(settings: &Settings, output: Output, args: &MigrateArgs) -> Result<(), CliError> {
    let (url, dry_run) = (settings.url()?, args.dry_run);
    let runtime = Builder::new_current_thread().enable_all().build().map_err(CliError::Runtime)?;
    let pending = runtime.block_on(async {
        let pending = taskbroker_connect::pending(&url).await.map_err(CliError::Connect)?;
        if !dry_run {
            let opened = taskbroker_connect::connect(&url).await.map_err(CliError::Connect)?;
            opened.broker.close().await?;
        }
        Ok::<_, CliError>(pending)
    });
    let step = |Migration { version, sql }| Step { version, sql };
    let steps = Steps { dry_run, migrations: pending?.into_iter().map(step).collect() };
    output.show(&steps, text)
}

fn text(steps: &Steps) -> String {
    let versions: Vec<String> =
        steps.migrations.iter().map(|step| step.version.to_string()).collect();
    match (steps.dry_run, &steps.migrations[..]) {
        (true, []) => "-- nothing to do\n".to_owned(),
        (false, []) => "nothing to do\n".to_owned(),
        (true, migrations) => {
            let shown = |step: &Step| format!("-- version {}\n{}", step.version, step.sql);
            migrations.iter().map(shown).collect::<Vec<_>>().join("\n")
        }
        (false, _) => format!("applied: {}\n", versions.join(", ")),
    }
}
