//! The 18 faults of services, in all variations, those of tokens among them.

use super::{ID, SECRET, options, source};
use crate::npi::judge;
use crate::web::fault::{Fault, TOO_MANY_MORE, When, serve};
use crate::web::http::packing;
use crate::web::who::{Size, Tree, Who};
use crate::{wait, whole};
use arrow::array::AsArray;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

#[test]
fn every_fault_ends_in_all_rows_or_in_an_error_in_time() {
    wait(async {
        let tree = || Tree::grown(2, "2019", Size { chapters: 1, blocks: 2, categories: 3, leaves: 2 });
        let mut expected = tree().codes("2019");
        expected.sort();
        let (mut tasks, turns) = (JoinSet::new(), Arc::new(Semaphore::new(48)));
        for fault in Fault::all() {
            for when in [When::Nth(0), When::Nth(2), When::Every] {
                let (expected, turns) = (expected.clone(), turns.clone());
                // Ten megabytes of each of some thirty entities.
                if fault == Fault::LongLine && when == When::Every {
                    continue;
                }
                tasks.spawn(async move {
                    let _turn = turns.acquire().await.unwrap();
                    let server = serve(fault, when, packing(Who::new(tree(), ID, SECRET).handler()));
                    let read = async {
                        let rows = whole(&source(options(&server)), "2019").await?;
                        let mut read: Vec<String> =
                            rows["code"].as_string::<i32>().iter().flatten().map(str::to_owned).collect();
                        read.sort();
                        Ok(read)
                    };
                    let got = tokio::time::timeout(Duration::from_secs(30), read).await;
                    let got = got.unwrap_or_else(|_| panic!("{fault:?} {when:?} does not end"));
                    let most = expected.len() + TOO_MANY_MORE;
                    assert!(server.requests().len() < most, "{fault:?} {}", server.requests().len());
                    judge(fault, when, &got, &expected);
                });
            }
        }
        let many = tasks.len();
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        println!("{many} reads with a fault");
    });
}
