use std::process::Command;

use super::program::{Checkout, Process, free_port};

/// `portcullis dev`, started.
#[derive(Debug)]
pub(crate) struct Dev {
    pub(crate) process: Process,
    /// What it printed.
    pub(crate) said: Vec<String>,
    pub(crate) address: String,
    pub(crate) app: String,
}

impl Dev {
    pub(crate) fn start(checkout: &Checkout) -> Self {
        Self::start_at(checkout, &format!("127.0.0.1:{}", free_port()))
    }

    /// With these settings, by their variables.
    pub(crate) fn start_with(checkout: &Checkout, settings: &[(&str, &str)]) -> Self {
        Self::start_so(checkout, &format!("127.0.0.1:{}", free_port()), settings)
    }

    pub(crate) fn start_at(checkout: &Checkout, address: &str) -> Self {
        Self::start_so(checkout, address, &[])
    }

    fn start_so(checkout: &Checkout, address: &str, settings: &[(&str, &str)]) -> Self {
        // By the variable, so that the command is the one that a newcomer types.
        let mut command = checkout.portcullis(&["dev"]);
        let mut process = Process::start(command.env("PORTCULLIS_LISTEN", address).envs(settings.iter().copied()));
        let said = process.until(|line| line.ends_with("This is its own watch:"));
        let app = said
            .iter()
            .find_map(|line| line.trim().strip_prefix("export PORTCULLIS_APP="))
            .expect("the application")
            .to_owned();
        Self { process, said, address: address.to_owned(), app }
    }

    /// What it printed to be pasted.
    pub(crate) fn to_paste(&self) -> String {
        let block = self.said.iter().skip_while(|line| !line.starts_with("  export"));
        block.take_while(|line| !line.starts_with("Ctrl-C")).map(|line| format!("{line}\n")).collect()
    }

    /// `command` as somebody who pasted the exports would have it.
    pub(crate) fn caller<'a>(&self, checkout: &Checkout, command: &'a mut Command) -> &'a mut Command {
        command
            .env("PORTCULLIS_CREDENTIALS", checkout.file("portcullis-data/admin.json"))
            .env("PORTCULLIS_ENDPOINT", format!("http://{}", self.address))
    }

    /// Waits until signed `VerifyKey`s are taken: not in the first moments of a server, since
    /// what was used before it started is not known.
    pub(crate) fn takes_signed_verify(&self, checkout: &Checkout) {
        let arguments = ["call", "KeyService/VerifyKey", "--signed", "-d", r#"{"secret": "not a key"}"#];
        for _ in 0..100 {
            let ended = super::program::run(self.caller(checkout, &mut checkout.portcullis(&arguments)));
            if ended.code == Some(0) {
                return;
            }
            assert!(ended.err.contains("TIMESTAMP_OUT_OF_WINDOW"), "{}", ended.err);
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("signed VerifyKeys are never taken");
    }

    /// What `portcullis call` answers.
    pub(crate) fn call(&self, checkout: &Checkout, method: &str, request: &str) -> String {
        super::program::run(self.caller(checkout, &mut checkout.portcullis(&["call", method, "-d", request]))).good()
    }
}

/// The value of a field in the JSON that `call` prints.
pub(crate) fn field(json: &str, name: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(json).expect("JSON");
    find(&value, name).unwrap_or_else(|| panic!("no {name} in {json}"))
}

fn find(value: &serde_json::Value, name: &str) -> Option<String> {
    let object = value.as_object()?;
    let own = object.get(name).and_then(|value| value.as_str()).map(str::to_owned);
    own.or_else(|| object.values().find_map(|value| find(value, name)))
}
