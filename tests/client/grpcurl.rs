//! The real grpcurl, with the flags that `sign` prints, through a real shell.

use std::{env, path::PathBuf, process::Command};

use crate::{
    corpus::{Example, examples},
    raw_server::{Proved, RawServer},
    support::{Caller, run},
};

/// `PORTCULLIS_TEST_GRPCURL`, else the one in PATH. Where there is none, a developer's run goes without;
/// CI does not.
fn grpcurl() -> Option<PathBuf> {
    let named = env::var_os("PORTCULLIS_TEST_GRPCURL").map(PathBuf::from);
    let found = named.or_else(|| {
        let path = env::var_os("PATH")?;
        env::split_paths(&path).map(|folder| folder.join("grpcurl")).find(|file| file.is_file())
    });
    assert!(
        found.is_some() || env::var_os("CI").is_none(),
        "CI needs grpcurl, in PATH or named by PORTCULLIS_TEST_GRPCURL"
    );
    found
}

#[test]
fn grpcurl_sends_the_bytes_that_sign_has_signed() {
    let Some(grpcurl) = grpcurl() else { return };
    let server = RawServer::start();
    let caller = Caller::new(None);
    for Example { method, json, bytes } in examples() {
        let mut shell = Command::new("sh");
        // Unquoted, so that the shell splits the flags.
        shell.args([
            "-c",
            r#""$PORTCULLIS_TEST_GRPCURL" $("$PORTCULLIS" sign "$METHOD" -d "$REQUEST") -d "$REQUEST" \
            -import-path proto -proto portcullis/v1/key_service.proto \
            -proto portcullis/v1/service_account_service.proto -plaintext "$ADDRESS" portcullis.v1."$METHOD""#,
        ]);
        shell.env("PORTCULLIS_TEST_GRPCURL", &grpcurl).env("PORTCULLIS", env!("CARGO_BIN_EXE_portcullis"));
        shell.env("PORTCULLIS_CREDENTIALS", &caller.file).env("ADDRESS", &server.address);
        let done = run(shell.env("METHOD", method).env("REQUEST", json).current_dir(env!("CARGO_MANIFEST_DIR")));
        assert_eq!(done.code, Some(0), "{method} {json}: {}", done.err);
        let [seen] = &server.seen()[..] else { panic!("one call") };
        assert_eq!(seen.message, bytes, "{method} {json}");
        assert!(matches!(seen.proved(caller.credentials.public_key()), Proved::SignedRequest { .. }));
    }
}
