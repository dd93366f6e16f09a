use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::{
    args::{CredentialsArgs, RequestArgs},
    failure::Failure,
    out::Out,
};
use crate::client::{Headers, sign_request_now};

/// Sign one request, for grpcurl and other clients to send
///
/// Prints the four headers of a signed request, on one line and without spaces inside,
/// so that a shell can put them into a command. They are good for one call of METHOD
/// with exactly this request, within 300 seconds; sign again for each attempt.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  REQUEST='{\"application_id\": \"app_1\", \"key_id\": \"key_1\"}'
  grpcurl $(portcullis sign KeyService/GetKey -d \"$REQUEST\") -d \"$REQUEST\" \\
    -plaintext 127.0.0.1:50051 portcullis.v1.KeyService/GetKey")]
pub(super) struct Sign {
    #[command(flatten)]
    request: RequestArgs,

    #[command(flatten)]
    credentials: CredentialsArgs,

    /// How to print the headers
    #[arg(long, value_enum, default_value_t = Format::Grpcurl)]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// -rpc-header flags
    Grpcurl,
    /// One JSON object
    Json,
}

impl Sign {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let (method, message) = self.request.read()?;
        if method.credential().is_none() {
            return Err(Failure::Usage(format!("{} needs no credential: call it as it is", method.path())));
        }
        let credentials = self.credentials.read()?;
        let headers = sign_request_now(&credentials, method.path().as_str(), &message)
            .map_err(|e| Failure::Failed(e.to_string()))?;
        out.line(&self.format.print(&headers))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Format {
    fn print(self, headers: &Headers) -> String {
        match self {
            Self::Grpcurl => headers.pairs().map(|(name, value)| format!("-rpc-header {name}:{value}")).join(" "),
            Self::Json => {
                let object: serde_json::Map<_, _> =
                    headers.pairs().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
                serde_json::Value::Object(object).to_string()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_survive_the_word_splitting_of_a_shell() {
        let headers = Headers {
            kid: "-kid_".to_owned(),
            timestamp: "1795219200".to_owned(),
            nonce: "-nonce_".to_owned(),
            signature: "a+b/c==".to_owned(),
        };
        let printed = Format::Grpcurl.print(&headers);
        assert_eq!(
            printed.split(' ').collect::<Vec<_>>(),
            [
                "-rpc-header",
                "x-portcullis-kid:-kid_",
                "-rpc-header",
                "x-portcullis-timestamp:1795219200",
                "-rpc-header",
                "x-portcullis-nonce:-nonce_",
                "-rpc-header",
                "x-portcullis-signature:a+b/c==",
            ]
        );
        assert!(!printed.contains(['*', '?', '[', '\\', '\'', '"', '$', '\n']), "{printed}");
    }
}
