//! The session of docs/tutorial.md is run: two servers, a key, a watcher and a revocation.

use std::fs;

use crate::{
    clients::source,
    harness::{
        Data, Located as _,
        program::{Checkout, free_port},
        session::{self, Meaning, play},
    },
};

#[tokio::test(flavor = "multi_thread")]
async fn its_session_is_what_the_program_prints() {
    let Some(data) = Data::empty_at_server().await else { return };
    let document = fs::read_to_string(source("docs/tutorial.md")).expect("docs/tutorial.md");
    let (steps, checkout) = (session::steps(&document), Checkout::new());
    let (one, two) = (free_port().to_string(), free_port().to_string());
    let url = data.url();
    let here = |text: &str| {
        let text = text.replace("postgres://portcullis:PASSWORD@localhost/portcullis", &url);
        text.replace("50051", &one).replace("50052", &two)
    };
    let mut shell = checkout.command("sh");
    tokio::task::block_in_place(|| play(&steps, &mut shell, here, &mut Meaning::default()));
    assert!(steps.len() > 20, "{}", steps.len());
}
