use std::process::ExitCode;

use clap::Args;

use super::{
    super::{
        dev::Dev,
        failure::Failure,
        out::Out,
        serve::{block_on, until},
    },
    child,
};

/// The server as everybody runs it
#[derive(Debug, Args)]
pub(super) struct Subject {
    #[command(flatten)]
    dev: Dev,
}

impl Subject {
    pub(super) fn run(self, out: Out) -> Result<ExitCode, Failure> {
        let telemetry = self.dev.telemetry()?;
        block_on(async {
            let (_, running) = self.dev.start(&telemetry).await?;
            let end = child::obey(out, &running.endpoint())?;
            Ok(until(running, end).await?)
        })?;
        telemetry.shutdown();
        Ok(ExitCode::SUCCESS)
    }
}
