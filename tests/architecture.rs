//! Holds the source to the map in `src/lib.rs`: which room may name which, and what only
//! one room may do. A new arrow is a decision: it is made here, in review.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use syn::{
    UseTree,
    visit::{self, Visit},
};

/// Room → the rooms that it may name. `serve` and `cli` may name all.
const ARROWS: &[(&str, &[&str])] = &[
    ("accounts", &["auth", "domain", "entropy", "guard", "index", "replica", "signing", "store"]),
    ("admin", &["domain", "guard", "meters", "replica"]),
    ("applications", &["auth", "domain", "entropy", "index", "replica", "store"]),
    ("audit", &["auth", "chain", "domain", "index", "store"]),
    ("auth", &["domain", "guard", "index", "replica", "signing", "store"]),
    ("bootstrap", &["accounts", "applications", "clock", "domain", "entropy", "signing", "store"]),
    ("chain", &["guard"]),
    ("check", &["domain", "notify", "store"]),
    ("client", &["chain", "pb", "signing"]),
    ("clock", &["domain", "guard"]),
    ("config", &["auth", "domain", "grpc", "notify", "replica", "signing", "store", "telemetry", "watch"]),
    ("domain", &["guard", "signing"]),
    ("entropy", &["domain"]),
    (
        "grpc",
        &[
            "accounts",
            "applications",
            "audit",
            "auth",
            "chain",
            "clock",
            "domain",
            "entropy",
            "guard",
            "keys",
            "limits",
            "meters",
            "pb",
            "replica",
            "signing",
            "store",
            "telemetry",
            "watch",
            "webhooks",
        ],
    ),
    ("guard", &[]),
    ("housekeeping", &["domain", "limits", "meters", "replica", "store"]),
    ("index", &["domain", "guard", "signing"]),
    ("jobs", &["domain", "entropy", "keys", "meters", "replica", "signing", "store"]),
    (
        "keys",
        &[
            "auth", "domain", "entropy", "guard", "index", "limits", "meters", "replica", "signals", "signing",
            "store", "usage",
        ],
    ),
    ("limits", &["clock", "domain", "meters", "store"]),
    ("meters", &[]),
    ("notify", &["clock", "domain", "entropy", "guard", "meters", "replica", "store", "telemetry"]),
    ("pb", &[]),
    ("recovery", &["domain", "guard", "store"]),
    ("replica", &["clock", "domain", "guard", "index", "meters", "store", "tail"]),
    ("signals", &["domain", "index", "replica", "store"]),
    ("signing", &[]),
    ("store", &["chain", "clock", "domain", "entropy", "guard", "signing"]),
    ("tail", &["domain"]),
    ("telemetry", &["clock", "meters"]),
    ("usage", &["domain", "store"]),
    ("webhooks", &["auth", "clock", "domain", "entropy", "index", "notify", "replica", "store"]),
    ("watch", &["auth", "domain", "entropy", "guard", "index", "meters", "replica", "store", "tail"]),
];
const MAY_NAME_ALL: &[&str] = &["cli", "lib", "main", "serve"];

/// A text that only some rooms or files may hold, and why.
const ONLY: &[(&str, &[&str], &str)] = &[
    ("sea_orm", &["store"], "only the store names sea-orm"),
    ("opentelemetry", &["telemetry"], "only telemetry names OpenTelemetry"),
    ("Code::", &["grpc", "telemetry", "client", "cli"], "only grpc says which code an error is"),
    ("env::var", &["config/sources", "guard"], "settings come through clap"),
    ("env = \"", &["config", "telemetry", "cli"], "settings are declared in config"),
    ("SystemTime::now", &["clock", "client/fresh"], "only the clock reads a clock"),
    (
        "Instant::now",
        &[
            "watch",
            "grpc",
            "replica",
            "telemetry",
            "client",
            "cli/import/progress",
            "limits",
            "meters",
            "serve/tasks",
            "keys/verify",
            "keys/report_leaked",
        ],
        "only tokio's, for waiting",
    ),
    ("rand::", &["entropy", "client/fresh"], "only entropy draws"),
    ("OsRng", &["signing/private_key"], "only entropy draws, but for the rsa crate's own kind"),
    ("Act {", &["auth", "domain/act"], "only auth says who acts"),
    ("unbounded_channel", &[], "no queue without a bound"),
    (
        ".alone()",
        &["bootstrap", "recovery", "replica/fork", "store/write"],
        "what callers hear of waits at the barrier",
    ),
    ("Committed::alone", &["bootstrap", "recovery", "replica/fork"], "what callers hear of waits at the barrier"),
    (".announce(", &["jobs", "notify/disable", "replica"], "what callers hear of waits at the barrier"),
    ("private_key::", &["signing"], "the server handles public keys"),
];

struct Source {
    /// `auth/token`
    name: String,
    text: String,
}

impl Source {
    fn room(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }

    /// Without what is built for tests alone, wherever it stands, and without comments.
    fn code(&self) -> String {
        let (mut code, mut rest) = (Vec::new(), self.text.as_str());
        while let Some((line, behind)) = rest.split_once('\n') {
            rest = behind;
            if line.trim_start() == "#[cfg(test)]" {
                let length = item_length(rest).unwrap_or_else(|| panic!("no item is behind one in {}", self.name));
                rest = &rest[length..];
            } else {
                code.push(line.split("//").next().unwrap_or_default());
            }
        }
        code.join("\n")
    }
}

/// How long the item is that a text begins with: the fewest lines that read as one, the last no deeper than the first.
fn item_length(text: &str) -> Option<usize> {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let ends = text.split_inclusive('\n').scan(0, |end, line| {
        *end += line.len();
        Some((*end, line))
    });
    let may_be_last = |line: &str| depth(line) == depth(text) && line.trim_end().ends_with(['}', ';']);
    ends.filter(|(_, line)| may_be_last(line))
        .map(|(end, _)| end)
        .find(|end| syn::parse_str::<syn::Item>(&text[..*end]).is_ok())
}

fn sources() -> Vec<Source> {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("folder") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                walk(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    let read = |path: PathBuf| Source {
        name: path.strip_prefix(&root).expect("below src").with_extension("").display().to_string(),
        text: fs::read_to_string(&path).expect("source"),
    };
    files.into_iter().map(read).collect()
}

#[derive(Default)]
struct Named(BTreeSet<String>);

impl Named {
    fn tree(&mut self, tree: &UseTree) {
        match tree {
            UseTree::Path(path) => self.0.extend([path.ident.to_string()]),
            UseTree::Name(name) => self.0.extend([name.ident.to_string()]),
            UseTree::Rename(rename) => self.0.extend([rename.ident.to_string()]),
            UseTree::Group(group) => group.items.iter().for_each(|item| self.tree(item)),
            UseTree::Glob(_) => {}
        }
    }
}

impl<'ast> Visit<'ast> for Named {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if let UseTree::Path(path) = &item.tree
            && path.ident == "crate"
        {
            self.tree(&path.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let mut segments = path.segments.iter();
        if segments.next().is_some_and(|first| first.ident == "crate")
            && let Some(room) = segments.next()
        {
            self.0.insert(room.ident.to_string());
        }
        visit::visit_path(self, path);
    }
}

#[test]
fn every_arrow_between_rooms_is_on_the_map() {
    let allowed: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let mut wrong = Vec::new();
    for source in sources() {
        let room = source.room();
        if MAY_NAME_ALL.contains(&room) {
            continue;
        }
        let to = allowed.get(room).unwrap_or_else(|| panic!("the room {room} is not on the map"));
        let mut named = Named::default();
        named.visit_file(&syn::parse_file(&source.text).expect("source parses"));
        for other in named.0.iter().filter(|other| *other != room && !to.contains(&other.as_str())) {
            wrong.push(format!("src/{}.rs names crate::{other}", source.name));
        }
    }
    assert!(wrong.is_empty(), "arrows that are not on the map:\n{}", wrong.join("\n"));
}

/// A room on the map in `src/lib.rs`: its name, the rooms that it may know, and whether the
/// line says that these are all. `…` or words that are no room say that there are more.
fn on_the_map(line: &str) -> Option<(Vec<&str>, BTreeSet<&str>, bool)> {
    let (room, to) = line.strip_prefix("//! ")?.split_once('→')?;
    let rooms = room.split("  ").next().unwrap_or_default().split(", ").collect();
    let words: Vec<&str> = to.split(',').map(|word| word.split('(').next().unwrap_or_default().trim()).collect();
    let is_room = |word: &&str| ARROWS.iter().any(|(room, _)| room == word);
    let is_all = words.iter().all(|word| is_room(word) || *word == "nothing");
    Some((rooms, words.into_iter().filter(is_room).collect(), is_all))
}

#[test]
fn the_map_for_readers_says_the_same() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs");
    let text = fs::read_to_string(path).expect("source");
    let map = text.split("# The rooms").nth(1).and_then(|rest| rest.split("```").nth(1)).expect("a map");
    let allowed: BTreeMap<_, BTreeSet<_>> =
        ARROWS.iter().map(|(room, to)| (*room, to.iter().copied().collect())).collect();
    let mut missing: BTreeSet<&str> = allowed.keys().copied().collect();
    for (rooms, to, is_all) in map.lines().filter_map(on_the_map) {
        for room in rooms {
            missing.remove(room);
            let Some(allowed) = allowed.get(room) else {
                assert!(MAY_NAME_ALL.contains(&room), "{room} is no room");
                continue;
            };
            assert!(to.is_subset(allowed), "{room}: the map has {to:?}, and ARROWS only {allowed:?}");
            assert!(!is_all || to == *allowed, "{room}: the map has only {to:?}, and ARROWS {allowed:?}");
        }
    }
    assert!(missing.is_empty(), "not on the map: {missing:?}");
}

#[test]
fn what_only_one_room_may_do_is_done_there_only() {
    let mut wrong = Vec::new();
    for source in sources() {
        let code = source.code();
        for (text, rooms, why) in ONLY {
            let may = rooms.iter().any(|room| source.room() == *room || source.name == *room);
            if !may && code.contains(text) {
                wrong.push(format!("src/{}.rs holds `{text}`: {why}", source.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_map_names_no_room_that_is_gone() {
    let rooms: BTreeSet<_> = sources().iter().map(|source| source.room().to_owned()).collect();
    for (room, to) in ARROWS {
        for name in to.iter().chain([room]) {
            assert!(rooms.contains(*name), "{name}");
        }
    }
}

#[test]
fn files_are_one_concern_each() {
    let long: Vec<_> = sources()
        .into_iter()
        .map(|source| (source.code().lines().count(), source.name))
        .filter(|(lines, _)| *lines > 300)
        .collect();
    assert!(long.is_empty(), "split these: {long:?}");
}

#[test]
fn code_behind_what_is_for_tests_alone_is_looked_at_too() {
    let text = "fn one() {}\n#[cfg(test)]\nuse std::fs;\nimpl A {\n    #[cfg(test)]\n    fn two(\n        &self,\n    ) {\n        \
                three();\n    }\n\n    fn four() {} // five\n}\n#[cfg(test)]\nmod tests {\n    fn six() {}\n}\nfn seven() {}\n";
    let source = Source { name: "a".to_owned(), text: text.to_owned() };
    assert_eq!(source.code(), "fn one() {}\nimpl A {\n\n    fn four() {} \n}\nfn seven() {}");
}
