//! As whom an operator's commands are run, and as whom the server.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, chown},
    path::Path,
};

use super::portcullis;

/// Nobody, on every system.
const SERVER: u32 = 65_534;

fn belong_to(folder: &Path, owner: u32) -> Vec<String> {
    let files = fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("a file"));
    let mut names: Vec<_> = files
        .map(|file| {
            let name = file.file_name().into_string().expect("a name");
            let metadata = file.metadata().expect("it is there");
            assert_eq!((metadata.uid(), metadata.mode() & 0o777), (owner, 0o600), "{name}");
            name
        })
        .collect();
    names.sort();
    names
}

/// Where the tests are not run by who may, nothing can be given away, and all of it stays the caller's.
#[test]
fn what_root_makes_beside_a_database_belongs_to_whom_the_database_belongs_to() {
    let [data, elsewhere] = [(); 2].map(|()| tempfile::tempdir().expect("folder"));
    let is_root = chown(data.path(), Some(SERVER), Some(SERVER)).is_ok();
    let owner = data.path().metadata().expect("the folder").uid();
    assert_eq!(owner == SERVER, is_root);
    let url = format!("sqlite://{}/portcullis.db", data.path().display());
    let file = |name: &str| elsewhere.path().join(name).display().to_string();
    let [admin, backup] = ["admin.json", "backup.db"].map(file);

    portcullis(&["migrate", "--database-url", &url]).good();
    assert_eq!(belong_to(data.path(), owner), ["portcullis.db", "portcullis.db.lock"]);
    portcullis(&["bootstrap", "--database-url", &url, "--out", &admin, "--endpoint", "http://127.0.0.1:1"]).good();
    assert_eq!(belong_to(data.path(), owner), ["portcullis.db", "portcullis.db.head", "portcullis.db.lock"]);
    portcullis(&["backup", "--database-url", &url, "--out", &backup]).good();

    let restore = ["restore", "--database-url", &url, "--from", &backup, "--accept-accounts"];
    let half = portcullis(&restore);
    assert_eq!(half.code, Some(2), "{}", half.err);
    assert!(
        half.out.contains("nothing is answered from it until you run `portcullis confirm-restore`"),
        "{}",
        half.out
    );
    let done = portcullis(&["confirm-restore", "--database-url", &url, "--accept-loss"]).good();
    assert!(done.contains("accounts are as the backup has them") && done.contains("(admin, 1 keys)"), "{done}");
    let before = |name: &String| name.starts_with("portcullis.db.before-restore-");
    assert!(belong_to(data.path(), owner).iter().any(before));

    // A name that was put there by whom the folder belongs to is not followed.
    let [head, kept] = [data.path().join("portcullis.db.head.new"), elsewhere.path().join("kept")];
    fs::write(&kept, "kept").expect("a file");
    std::os::unix::fs::symlink(&kept, &head).expect("a link");
    portcullis(&restore[..5]).good();
    portcullis(&["confirm-restore", "--database-url", &url, "--accept-loss"]).good();
    let root = elsewhere.path().metadata().expect("the folder").uid();
    assert_eq!(
        (fs::read_to_string(&kept).expect("it is there"), kept.metadata().expect("it").uid()),
        ("kept".into(), root)
    );
    belong_to(data.path(), owner);
}
