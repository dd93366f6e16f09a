use std::{fmt::Write as _, io::Write as _};

use proptest::prelude::*;

use super::*;

type Rows = Vec<(u64, Result<String, String>)>;

/// What a file of this name says: the names of its keys, or what is wrong, by line.
fn read(name: &str, bytes: &[u8]) -> Result<Rows, String> {
    read_with(name, bytes, HASH)
}

fn read_with(name: &str, bytes: &[u8], hash_column: &str) -> Result<Rows, String> {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join(name);
    File::create(&path).expect("file").write_all(bytes).expect("write");
    let source = Source::new(path, None, hash_column, &["ignored".to_owned()]).expect("a source");
    let mut rows = Vec::new();
    let read = source.keys(&mut |line, key| {
        rows.push((line, key.map(|key| key.name)));
        true
    });
    read.map_err(|failure| format!("{failure:?}"))?;
    Ok(rows)
}

fn hash(number: u64) -> String {
    format!("{number:016x}{number:048x}")
}

fn good(line: u64, name: &str) -> (u64, Result<String, String>) {
    (line, Ok(name.to_owned()))
}

#[test]
fn a_csv_file_reads_with_quotes_a_byte_order_mark_and_either_end_of_line() {
    let (one, two) = (hash(1), hash(2));
    let text = format!("\u{feff}name,Secret SHA256,ignored\r\n\"a, \"\"b\"\"\",{one},\"x\ny\"\r\n\r\nd,{two},\"\"\n");
    assert_eq!(read("k.csv", text.as_bytes()).expect("rows"), [good(2, "a, \"b\""), good(5, "d")]);
}

#[test]
fn what_is_wrong_is_told_by_its_line() {
    let text = format!("name,secret_sha256\n,{}\nb\nc,x\nd,{}\n", hash(1), hash(2));
    let rows = read("k.csv", text.as_bytes()).expect("rows");
    let wrong: Vec<_> = rows.iter().filter(|(_, row)| row.is_err()).map(|(line, _)| *line).collect();
    assert_eq!((wrong, rows.len()), (vec![2, 3, 4], 4));
    let mut bytes = format!("name,secret_sha256\na,{}\n\n", hash(1)).into_bytes();
    bytes.extend(b"\xff,x\n");
    bytes.extend(format!("b,{}\n", hash(2)).into_bytes());
    let rows = read("k.csv", &bytes).expect("rows");
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert_eq!((rows[0].clone(), rows[1].1.clone()), (good(2, "a"), Err("is no UTF-8".to_owned())));
    assert_eq!(rows[2].1, Ok("b".to_owned()), "and it goes on");
}

#[test]
fn a_header_that_does_not_fit_ends_it() {
    let refused = |text: &str| read("k.csv", text.as_bytes()).expect_err(text);
    assert!(refused("a,b\n").contains("`a` is no field"));
    assert!(refused("name,api_key\nx,y\n").contains("never read"));
    assert!(refused("name\n").contains("has no column secret_sha256"));
    assert!(refused("name;secret_sha256\n").contains("has ';' between its cells"));
    assert!(refused("name,name,secret_sha256\n").contains("twice"));
    assert!(read_with("k.csv", format!("name,key\na,{}\n", hash(1)).as_bytes(), "key").is_ok());
}

#[test]
fn the_text_of_a_key_is_not_repeated_where_the_names_of_columns_are_missing() {
    let told = read("k.csv", format!("sk_live_{},a\n", "S".repeat(49)).as_bytes()).expect_err("no header");
    assert!(told.contains("57 characters") && !told.contains("SSS"), "{told}");
}

#[test]
fn a_quote_that_is_missing_does_not_take_the_rest_of_the_file_into_memory() {
    let mut text = "name,secret_sha256\n\"a,".to_owned();
    while text.len() < 6 * 1024 * 1024 {
        let _ = writeln!(text, "b,{}", hash(1));
    }
    assert!(read("k.csv", text.as_bytes()).expect_err("too long").contains("is a quote or a bracket missing"));
}

#[test]
fn a_quote_that_is_never_closed_takes_no_row_for_the_text_of_a_cell() {
    let text = format!("secret_sha256,name,description\n{},a,\"open\n{},b,c\n", hash(1), hash(2));
    let told = read("k.csv", text.as_bytes()).expect_err("refused");
    assert!(told.contains("line 2: a quote is opened and never closed"), "{told}");
}

#[test]
fn json_reads_as_an_array_and_by_lines() {
    let object =
        |number: u64| format!(r#"{{"secret_sha256": "{}", "name": "k{number}", "ignored": [1]}}"#, hash(number));
    let lines = format!("\u{feff}{}\r\n\n{}", object(1), object(2));
    assert_eq!(read("k.jsonl", lines.as_bytes()).expect("rows"), [good(1, "k1"), good(3, "k2")]);
    let array = format!(" \n[{},\n{}]\n", object(1), object(2));
    assert_eq!(read("k.json", array.as_bytes()).expect("rows"), [good(1, "k1"), good(2, "k2")]);
    let cut = format!("[{},", object(1));
    assert!(read("k.json", cut.as_bytes()).expect_err("cut").contains("ends too early"));
    let bad = format!("{}\nsk_live_secret\n7\n{}\n", object(1), r#"{"secret": "x"}"#);
    let rows = read("k.ndjson", bad.as_bytes()).expect("rows");
    let why = |at: usize| rows[at].1.clone().expect_err("wrong");
    assert_eq!((rows.len(), why(1).as_str(), why(2).as_str()), (4, "is no JSON (column 1)", "is no JSON object"));
    assert!(why(3).contains("never read"));
}

#[test]
fn a_hash_that_stands_there_twice_is_told_with_both_lines() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("k.csv");
    let row = |name: &str, number: u64| format!("{name},{}\n", hash(number));
    let text = format!("name,secret_sha256\n{}{}{}", row("a", 1), row("b", 2), row("c", 1).to_uppercase());
    std::fs::write(&path, text).expect("write");
    let source = Source::new(path, None, HASH, &[]).expect("a source");
    let Checked { rows, problems, unpermitted } = source.check().expect("read");
    assert_eq!((rows, unpermitted), (3, 3));
    assert_eq!(problems.told(), [(4, "secret_sha256: is that of line 2, too".to_owned())]);
}

proptest! {
    #[test]
    fn whatever_is_quoted_reads_back(names in proptest::collection::vec("[ -~\\n\\r;,\"é]{1,20}", 1..20)) {
        let names: Vec<_> = names.into_iter().filter(|name| !name.trim().is_empty()).collect();
        let mut writer = ::csv::Writer::from_writer(Vec::new());
        writer.write_record(["name", "secret_sha256"]).expect("write");
        for (at, name) in names.iter().enumerate() {
            writer.write_record([name.as_str(), &hash(at as u64)]).expect("write");
        }
        let rows = read("k.csv", &writer.into_inner().expect("bytes")).expect("rows");
        let read: Vec<_> = rows.into_iter().map(|(_, name)| name.expect("good")).collect();
        let trimmed: Vec<_> = names.iter().map(|name| name.trim().to_owned()).collect();
        prop_assert_eq!(read, trimmed);
    }

    #[test]
    fn no_bytes_are_a_defect(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for name in ["k.csv", "k.json"] {
            let _ = read(name, &bytes);
        }
    }
}
