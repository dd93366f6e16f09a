use std::process::ExitCode;

use clap::Args;

use super::{
    named::KeyArgs,
    settings::{CLEARABLE, KeySettings},
};
use crate::{
    cli::{
        args::block_on,
        failure::Failure,
        out::Out,
        people::{Moment, Printed, Repeat, ServiceArgs, Wait, clear_words, details, moment},
    },
    pb,
};

/// Change a key
///
/// Changes what a flag is given for and leaves the rest; a list is replaced as a whole. Prints
/// the key as it is then. What is taken away is refused everywhere when this returns.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis key update key_1 --permission tasks:read --expires 2027-01-31
  portcullis key update key_1 --disable
  portcullis key update key_1 --clear expires,label")]
pub(super) struct Update {
    #[command(flatten)]
    key: KeyArgs,

    /// What it is called, 1 to 128 characters
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Refuse it until --enable
    #[arg(long, conflicts_with = "enable")]
    disable: bool,

    /// Take a --disable back
    #[arg(long)]
    enable: bool,

    /// Of a key that was rotated: until when it is good beside its successor
    #[arg(long, value_name = "TIME", value_parser = moment)]
    overlap_end: Option<Moment>,

    /// What is to be as if it had never been given
    #[arg(long, value_name = "FLAG", value_delimiter = ',', value_parser = clear_words(CLEARABLE))]
    clear: Vec<String>,

    #[command(flatten)]
    settings: KeySettings,

    /// The etag that `get` showed: be refused where somebody changed it since
    #[arg(long, value_name = "ETAG", default_value = "", hide_default_value = true)]
    etag: String,

    /// How long to wait until it holds at every replica [default: everywhere]
    #[arg(long, value_enum, value_name = "WAIT")]
    wait: Option<Wait>,

    #[command(flatten)]
    printed: Printed,

    #[command(flatten)]
    service: ServiceArgs,
}

impl Update {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let Self { key, name, disable, enable, overlap_end, clear, settings, etag, wait, printed, service } = self;
        key.check()?;
        // With an etag, a second attempt would be refused for what the first one did.
        let repeat = if etag.is_empty() { Repeat::Safe } else { Repeat::Unsafe };
        let mut new = pb::Key { etag, ..Default::default() };
        let mut changes = settings.put(&mut new);
        changes.put("name", &mut new.name, name);
        changes.put("disabled", &mut new.disabled, (disable || enable).then_some(disable));
        changes.put("overlap_end_time", &mut new.overlap_end_time, overlap_end.map(Some));
        changes.clear(&clear, CLEARABLE)?;
        let mut request =
            pb::UpdateKeyRequest { key: None, update_mask: Some(changes.mask()?), wait: wait.map_or(0, i32::from) };
        let answer = block_on(async {
            let session = service.connect().await?;
            let named = key.find(&session).await?;
            request.key = Some(pb::Key { application_id: named.application_id, key_id: named.key_id, ..new });
            session.change::<_, pb::UpdateKeyResponse>("KeyService/UpdateKey", &request, repeat).await
        })?;
        if printed.json() {
            out.line(&answer.json()?)?;
        } else {
            out.line(&details(&answer.message.key.unwrap_or_default(), &printed.look()?))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
