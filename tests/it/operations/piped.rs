//! A backup that goes through a pipe: out of a container that has no other way.

use std::{
    fs::File,
    io::Read as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use super::{
    left_behind::{large, partial, url},
    sqlite::portcullis,
};
use crate::harness::{
    Data, Rows,
    postgres::signal,
    program::{Ended, run},
};

fn to_stdout(data: &Data) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(["backup", "--database-url", &url(data), "--out", "-"]).stdin(Stdio::null());
    command
}

/// The copy is made, and is being written to whoever reads no further than this.
fn stuck(data: &Data) -> Child {
    let mut backup = to_stdout(data).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut begin = [0; 16];
    backup.stdout.as_mut().expect("a pipe").read_exact(&mut begin).expect("its beginning");
    assert_eq!(&begin, b"SQLite format 3\0");
    assert_eq!(left(data), [] as [PathBuf; 0], "it has no name any more, so a kill leaves nothing either");
    backup
}

fn left(data: &Data) -> Vec<PathBuf> {
    partial(data.path().parent().expect("a folder"))
}

#[tokio::test]
async fn sqlite_a_backup_to_standard_output_is_one_that_can_be_restored_and_leaves_nothing_beside_the_database() {
    let data = large().await;
    let count = "SELECT count(*) FROM filler";
    let before = Rows::of(&data).await.number(count).await;
    let folder = tempfile::tempdir().expect("folder");
    let out = folder.path().join("backup.db");
    let ended = run(to_stdout(&data).stdout(File::create(&out).expect("a file")));
    let bytes = out.metadata().expect("the copy").len();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.err.starts_with("wrote standard output: up to revision "), "{}", ended.err);
    assert!(ended.err.ends_with(&format!(", {bytes} bytes, checked\n")), "{}", ended.err);
    assert_eq!(left(&data), [] as [PathBuf; 0]);

    let restored = Data::file();
    let out = out.display().to_string();
    portcullis(&["restore", "--database-url", &url(&restored), "--from", &out, "--accept-loss"]).good();
    assert_eq!(Rows::of(&restored).await.number(count).await, before);
}

#[tokio::test]
async fn sqlite_a_backup_whose_reader_is_gone_or_stuck_ends_says_so_and_leaves_nothing() {
    let data = large().await;
    let mut gone = stuck(&data);
    drop(gone.stdout.take());
    let ended = Ended::from(gone.wait_with_output().expect("its end"));
    let said = ended.refused(1);
    assert!(said.starts_with("error: the copy was not taken as a whole: "), "{said}");
    assert_eq!(left(&data), [] as [PathBuf; 0]);

    let mut stuck = stuck(&data);
    let pipe = stuck.stdout.take();
    signal("TERM", &[stuck.id()]);
    let ended = Ended::from(stuck.wait_with_output().expect("its end"));
    assert_eq!(ended.refused(1), "error: interrupted, and nothing of the copy is left\n");
    assert_eq!(left(&data), [] as [PathBuf; 0]);
    drop(pipe);
}

#[tokio::test]
async fn sqlite_no_backup_is_written_to_a_terminal() {
    let data = Data::file();
    let command = format!("{} backup --database-url {} --out -", env!("CARGO_BIN_EXE_portcullis"), url(&data));
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--return", "--command", &command, "/dev/null"]).stdin(Stdio::null());
    let ended = match terminal.output() {
        Ok(output) => Ended::from(output),
        Err(error) => panic!("script of util-linux: {error}"),
    };
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.out.contains("a terminal takes no database: give a file to --out"), "{ended:?}");
}
