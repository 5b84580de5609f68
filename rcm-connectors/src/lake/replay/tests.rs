//! What a log of ours says, held to what deltalake reads in it; and logs that are not ours.

use super::super::Checkpoints;
use super::super::delta::{Commit, schema_json};
use super::super::{FORMAT, Location, Publish, vector};
use super::*;
use arrow::datatypes::{DataType, Field, Schema};
use object_store::memory::InMemory;
use roaring::RoaringTreemap;
use std::sync::Arc;

const TABLE: &str = "silver/patients";

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap().block_on(future)
}

fn lake() -> Lake {
    Lake::open(&Location::Store { name: "memory".to_owned(), store: Arc::new(InMemory::new()) }).unwrap()
}

fn schema() -> String {
    schema_json(&Schema::new(vec![Field::new("id", DataType::Utf8, true)]), TABLE).unwrap().to_string()
}

async fn put(lake: &Lake, version: u64, commit: &str) {
    lake.put(&commit_path(TABLE, version), commit.to_owned()).await.unwrap();
}

/// A run's commit: some files go, some come, some get a vector or another one.
fn commit(version: u64, live: &mut Vec<DataFile>, next: &mut impl FnMut(u64) -> u64) -> String {
    let with_vectors = version > 6;
    let (mut removes, mut adds) = (Vec::new(), Vec::new());
    for file in std::mem::take(live) {
        match next(4) {
            0 => removes.push(file),
            1 if with_vectors => {
                // Bits without an order: some vectors stand in the commit, others in a file.
                let most = [40, 3_000_000][usize::from(next(5) == 0)];
                let gone = (0..most).filter(|row| row * row % 101 < 1 + next(40)).collect::<RoaringTreemap>();
                let attempt = format!("{version:08}-0a1b2c3d");
                let written = vector::write(&[gone], &attempt, TABLE).unwrap();
                removes.push(file.clone());
                adds.push(DataFile { vector: Some(written.vectors[0].clone()), ..file });
            }
            _ => live.push(file),
        }
    }
    for n in 0..next(4) {
        adds.push(DataFile::new(format!("0-{n}/{version:08}-0a1b2c3d.parquet"), next(1 << 40), 3_000_000 + next(9)));
    }
    live.extend(adds.iter().cloned());
    let (schema, commit_id) = (schema(), format!("{}/{TABLE}", version + 1));
    Commit {
        commit_id: &commit_id,
        txn: ("rcm", version + 1),
        create: version == 0,
        metadata: matches!(version, 0 | 7).then_some(("3f1e8a52-90b1-4a51-8c0e-6a1a1b7d2c11", schema.as_str())),
        vectors: [with_vectors, version == 7],
        removes: &removes,
        adds: &adds,
        now_millis: 1_700_000_000_000,
        run_id: "run",
    }
    .bytes()
}

#[test]
fn a_log_of_ours_says_what_deltalake_reads_in_it() {
    const VERSIONS: u64 = 24;
    for seed in 1..=6u64 {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut next = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let (lake, mut live, mut checkpoints) = (lake(), Vec::new(), Vec::new());
        wait(async {
            for version in 0..VERSIONS {
                put(&lake, version, &commit(version, &mut live, &mut next)).await;
                live.sort_by(|a, b| a.path.cmp(&b.path));
                let replayed = lake.replay(TABLE, version).await.unwrap().unwrap();
                assert_eq!((&replayed.files, replayed.with_vectors), (&live, version > 6), "seed {seed}");
                assert_eq!(replayed, lake.by_deltalake(TABLE, version).await.unwrap().0, "seed {seed}");
                let Some(new) = lake.checkpoint(TABLE, version, checkpoints.last()).await.unwrap() else {
                    continue;
                };
                checkpoints.push(new);
                let checkpoints = Checkpoints::from([(TABLE.to_owned(), checkpoints.clone())]);
                lake.knows_checkpoints(&publish(version + 1, checkpoints));
                let behind = lake.replay(TABLE, version).await.unwrap();
                assert_eq!(behind, Some(replayed), "seed {seed}");
            }
            assert_eq!(checkpoints.len(), 2);
            // Behind its checkpoint a log can be cut.
            let cut = (0..=checkpoints[1].version).map(|version| commit_path(TABLE, version)).collect();
            lake.delete(cut).await.unwrap();
            assert_eq!(lake.replay(TABLE, VERSIONS - 1).await.unwrap().unwrap().files, live, "seed {seed}");
            assert_eq!(lake.replay(TABLE, checkpoints[0].version + 1).await.unwrap(), None);
        });
    }
}

fn publish(publish: u64, checkpoints: Checkpoints) -> Publish {
    Publish {
        format: FORMAT,
        publish,
        run_id: String::new(),
        attempt: String::new(),
        as_of: String::new(),
        tables: BTreeMap::new(),
        stale: Vec::new(),
        checkpoints,
        kept_from: 1,
        bronze: Vec::new(),
    }
}

#[test]
fn what_others_write_and_what_is_damaged_is_left_to_deltalake() {
    let info = r#"{"commitInfo":{}}"#;
    let metadata = format!(
        r#"{{"metaData":{{"id":"x","format":{{"provider":"parquet","options":{{}}}},"schemaString":{},"partitionColumns":[],"configuration":{{}},"createdTime":1}}}}"#,
        json!(schema())
    );
    let plain = r#"{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}"#;
    let file = |rest: &str| {
        format!(
            r#"{{"add":{{"path":"a.parquet","partitionValues":{{}},"modificationTime":1,"dataChange":true,{rest}}}}}"#
        )
    };
    let whole = file(r#""size":7,"stats":"{\"numRecords\":3}""#);
    let read = |lines: &[&str]| {
        let lake = lake();
        wait(async {
            put(&lake, 0, &lines.join("\n")).await;
            lake.replay(TABLE, 0).await.unwrap()
        })
    };
    let files = read(&[info, plain, &metadata, &whole]).unwrap().files;
    assert_eq!(files, [DataFile::new("a.parquet".to_owned(), 7, 3)]);
    for other in [
        r#"{"domainMetadata":{"domain":"x","configuration":"","removed":false}}"#,
        r#"{"protocol":{"minReaderVersion":2,"minWriterVersion":5}}"#,
        r#"{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["columnMapping"],"writerFeatures":["columnMapping"]}}"#,
        r#"{"add":{"path":"b%20c.parquet","size":7}}"#,
        r#"{"add":{"path":"s3://elsewhere/b.parquet","size":7}}"#,
        r#"{"add":{"path":"b.parquet"}}"#,
        r#"{"add":{"path":"b.parquet","size":-7}}"#,
        r#"{"add":{"path":"b.parquet","size":7,"stats":"{"}}"#,
        r#"{"add":{"path":"b.parquet","size":7,"deletionVector":{"storageType":"x","pathOrInlineDv":"","sizeInBytes":1,"cardinality":1}}}"#,
        // The protocol does not allow it.
        r#"{"add":{"path":"b.parquet","size":7,"deletionVector":{"storageType":"i","pathOrInlineDv":"","sizeInBytes":1,"cardinality":1}}}"#,
        r#"{"txn":{},"add":{}}"#,
        r#"{"add":{"path":"#,
    ] {
        assert_eq!(read(&[info, plain, &metadata, &whole, other]), None, "{other}");
    }
    for lacks in [&[info, plain, &whole][..], &[info, &metadata, &whole], &[]] {
        assert_eq!(read(lacks), None, "{lacks:?}");
    }
}
