//! A project in a temporary folder, the program, and the tables that it leaves.

use rcm::query::Tables;
use rcm_connectors::files::sha256;
use rcm_connectors::lake::{Lake, Publish};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the program said.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the program.
pub(crate) fn rcm(args: &[&str]) -> Said {
    said(Command::new(env!("CARGO_BIN_EXE_rcm")).args(args))
}

pub(crate) fn said(command: &mut Command) -> Said {
    let out = command.output().unwrap();
    Said {
        code: out.status.code().unwrap_or(-1),
        stdout: String::from_utf8(out.stdout).unwrap(),
        stderr: String::from_utf8(out.stderr).unwrap(),
    }
}

/// Waits for a future; every test has its own runtime.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(future)
}

/// The starter project in a folder of its own.
pub(crate) struct Project {
    _temp: tempfile::TempDir,
    pub(crate) dir: PathBuf,
}

pub(crate) const DAY1: &str = "2026-06-29T00:00:00Z";
pub(crate) const DAY2: &str = "2026-06-30T00:00:00Z";
pub(crate) const DAY3: &str = "2026-07-01T00:00:00Z";

impl Project {
    /// With day 1's files in landing, not run yet. The folder's name holds what paths and URLs must survive.
    pub(crate) fn new() -> Project {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("a b#ü%41");
        let said = rcm(&["init", dir.to_str().unwrap()]);
        assert_eq!(said.code, 0, "{}", said.stderr);
        Project { _temp: temp, dir }
    }

    /// A folder that holds a project already.
    pub(crate) fn at(temp: tempfile::TempDir) -> Project {
        Project { dir: temp.path().to_path_buf(), _temp: temp }
    }

    /// Some silver tables of which are written with deletion vectors.
    pub(crate) fn appending<'a>(tables: impl IntoIterator<Item = &'a str>) -> Project {
        let project = Project::new();
        let lines: String = tables.into_iter().map(|table| format!("{table} = \"append\"\n")).collect();
        project.write("rcm.toml", project.read("rcm.toml") + "\n[write]\n" + &lines);
        project
    }

    /// With day 1 run.
    pub(crate) fn after_day1() -> Project {
        let project = Project::new();
        project.ok(&["run", "--as-of", DAY1]);
        project
    }

    pub(crate) fn deliver_day2(&self) {
        let t = DAY2[..10].parse().unwrap();
        for file in rcm::demo::generate::day2(t) {
            self.write(&file.path, &file.bytes);
        }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.join(path)
    }

    pub(crate) fn read(&self, path: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.path(path)).unwrap()).into_owned()
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Replaces text in a file; the text must be there.
    pub(crate) fn edit(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert!(text.contains(from), "{path} has no {from:?}");
        self.write(path, text.replacen(from, to, 1));
    }

    pub(crate) fn run(&self, args: &[&str]) -> Said {
        let config = self.path("rcm.toml");
        rcm(&[&["-c", config.to_str().unwrap()], args].concat())
    }

    pub(crate) fn ok(&self, args: &[&str]) -> Said {
        let said = self.run(args);
        assert_eq!(said.code, 0, "{}", said.stderr);
        said
    }

    pub(crate) fn lake(&self) -> Lake {
        Lake::local(&self.path("lake")).unwrap()
    }

    pub(crate) fn newest(&self) -> Option<Publish> {
        wait(self.lake().newest()).unwrap()
    }

    /// `layer/table` → version.
    pub(crate) fn versions(&self) -> BTreeMap<String, Option<u64>> {
        self.newest().map(|p| p.tables.into_iter().map(|(t, at)| (t, at.version)).collect()).unwrap_or_default()
    }

    /// The answer to a query as text lines, cells joined by `|`.
    pub(crate) fn sql(&self, sql: &str) -> Vec<String> {
        let lake = self.path("lake");
        let batches = wait(async { Tables::newest(lake.as_path()).await.unwrap().sql(sql).await.unwrap() });
        lines(&batches)
    }

    /// All rows of the audit table at its head, some columns of them.
    pub(crate) fn audit(&self, columns: &[&str]) -> Vec<String> {
        audit(&self.lake(), columns)
    }

    /// Live data files of the newest publish: (table, digest), sorted.
    pub(crate) fn live(&self) -> Vec<(String, String)> {
        live(&self.lake())
    }

    /// Files with rows or state, and attempts, that none of the publishes names which `[maintain]` keeps; the newest
    /// attempt's record excepted. Logs, intents, publish records and the lease are always there.
    pub(crate) fn unnamed(&self) -> Vec<String> {
        let keep = if self.read("rcm.toml").contains("keep_publishes = 1\n") { 1 } else { 100 };
        let lake = self.lake();
        let named: BTreeSet<String> = wait(async {
            let mut named = BTreeSet::new();
            let newest = lake.newest().await.unwrap().unwrap().publish;
            for number in (newest + 1).saturating_sub(keep).max(1)..=newest {
                for (table, at) in lake.publish(number).await.unwrap().unwrap().tables {
                    let files = lake.table_files(&table, at.version).await.unwrap().files;
                    let vectors = files.iter().filter_map(|file| file.vector.as_ref()?.path());
                    let paths: Vec<String> = files.iter().map(|file| file.path.clone()).chain(vectors).collect();
                    named.extend(paths.into_iter().map(|path| format!("{table}/{path}")));
                    if let Some(part) = at.state.get("state") {
                        let files = lake.table_state(part).await.unwrap().files;
                        named.extend(files.into_iter().flat_map(|f| [Some(f.bronze), f.rejected]).flatten());
                    }
                    named.extend(at.state.into_values());
                }
            }
            let audit = lake.table_files("audit", lake.head("audit").await.unwrap()).await.unwrap().files;
            named.extend(audit.into_iter().map(|file| format!("audit/{}", file.path)));
            named.insert(format!("_rcm/attempts/{}.json", lake.newest().await.unwrap().unwrap().attempt));
            named
        });
        let kept = |path: &String| {
            ["_rcm/intents/", "_rcm/publishes/", "_rcm/logs/", "_rcm/lock", "_rcm/lease/"]
                .iter()
                .any(|kept| path.starts_with(kept))
                || path.contains("/_delta_log/")
        };
        walk(&self.path("lake"))
            .into_iter()
            .filter(|path| path.contains('#') || !kept(path) && !named.contains(path))
            .collect()
    }

    /// The visible history of a table without the columns that say when it was written.
    pub(crate) fn history(&self, table: &str) -> Vec<String> {
        let columns: Vec<&str> = rcm_core::model::table(table).unwrap().columns.iter().map(|c| c.name).collect();
        let is_shared = rcm_core::model::table(table).is_some_and(|table| !table.by_hospital);
        let hospital = if is_shared { "" } else { "hospital, " };
        let sql =
            format!("SELECT {hospital}{}, valid_from, valid_to, is_current FROM silver.{table}", columns.join(", "));
        let mut rows = self.sql(&sql);
        rows.sort();
        rows
    }
}

/// All rows of a lake's audit table at its head, some columns of them.
pub(crate) fn audit(lake: &Lake, columns: &[&str]) -> Vec<String> {
    let files = wait(async {
        let head = lake.head("audit").await.unwrap();
        lake.table_files("audit", head).await.unwrap().files
    });
    let mut rows = Vec::new();
    for file in files {
        let bytes = wait(lake.get(&format!("audit/{}", file.path))).unwrap();
        let before = rows.len();
        for batch in rcm_connectors::parquet::decode(bytes).unwrap() {
            let picked: Vec<usize> = columns.iter().map(|c| batch.schema().index_of(c).unwrap()).collect();
            rows.extend(lines(&[batch.project(&picked).unwrap()]));
        }
        assert_eq!((rows.len() - before) as u64, file.rows, "the log's count");
    }
    rows.sort();
    rows
}

/// Live data files of the newest publish of a lake: (table, digest), sorted; of one with a deletion vector, which of its rows
/// are in the table is part of the digest.
pub(crate) fn live(lake: &Lake) -> Vec<(String, String)> {
    wait(async {
        let mut all = Vec::new();
        for (table, at) in lake.newest().await.unwrap().expect("a publish").tables {
            for file in lake.table_files(&table, at.version).await.unwrap().files {
                let bytes = lake.get(&format!("{table}/{}", file.path)).await.unwrap();
                let rows = lake.live_rows(&table, &file).await.unwrap();
                let rows = rows.map_or(String::new(), |rows| format!("{:?}", rows.iter().collect::<Vec<_>>()));
                all.push((table.clone(), sha256(&[&bytes, rows.as_bytes()].concat())));
            }
        }
        all.sort();
        all
    })
}

fn lines(batches: &[arrow::array::RecordBatch]) -> Vec<String> {
    use arrow::util::display::{ArrayFormatter, FormatOptions};
    let mut rows = Vec::new();
    for batch in batches {
        let options = FormatOptions::default().with_null("NULL");
        let columns: Vec<_> =
            batch.columns().iter().map(|c| ArrayFormatter::try_new(c.as_ref(), &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            rows.push(columns.iter().map(|c| c.value(row).to_string()).collect::<Vec<_>>().join("|"));
        }
    }
    rows
}

/// All files below a folder, relative to it.
pub(crate) fn walk(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(at) = open.pop() {
        for entry in std::fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false => found.push(path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned()),
            }
        }
    }
    found.sort();
    found
}

/// Copies a folder.
pub(crate) fn copy(from: &Path, to: &Path) {
    for file in walk(from) {
        let to = to.join(&file);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(from.join(&file), to).unwrap();
    }
}
