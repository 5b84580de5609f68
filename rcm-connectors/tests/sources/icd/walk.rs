//! The tree, its tokens, and where it is asked for.

use super::{options, service, source};
use crate::components::Authority;
use crate::web::http::Server;
use crate::web::who::{Parent, Size, Tree, Who};
use crate::{shown, wait, whole};
use arrow::array::{AsArray, RecordBatch};
use rcm_connectors::icd::Options;
use rcm_core::{Class, Source};
use std::collections::BTreeSet;
use std::time::Duration;

fn row(rows: &RecordBatch, code: &str) -> Vec<String> {
    let at = rows["code"].as_string::<i32>().iter().position(|it| it == Some(code)).unwrap();
    let names = ["class_kind", "parent_code", "chapter", "block", "is_leaf"];
    names.map(|name| shown(rows, rows.schema().index_of(name).unwrap(), at)).to_vec()
}

#[test]
fn a_release_is_read_with_its_hierarchy() {
    wait(async {
        let (who, server) = service(Tree::constructed());
        let source = source(options(&server));
        for parent in [Parent::Array, Parent::Text] {
            who.set_parent(parent);
            let rows = whole(&source, "2019").await.unwrap();
            assert_eq!(row(&rows, "I"), ["chapter", "", "I", "", "false"]);
            assert_eq!(row(&rows, "A00-A09"), ["block", "I", "I", "A00-A09", "false"]);
            assert_eq!(row(&rows, "A00.1"), ["category", "A00", "I", "A00-A09", "true"]);
            assert_eq!(
                row(&rows, "A09"),
                ["category", "A00-A09", "I", "A00-A09", "true"],
                "a leaf of three characters"
            );
            assert_eq!(rows.num_rows(), 7, "the release itself is no code");
        }
        // One token for all of it.
        assert_eq!(who.given(), 1);
    });
}

#[test]
fn a_release_of_its_real_size() {
    wait(async {
        let tree = Tree::grown(4, "2019", Size { chapters: 6, ..Size::FULL });
        let expected: BTreeSet<String> = tree.codes("2019").into_iter().collect();
        let (who, server) = service(tree);
        // Its tokens end while it is walked, and the service says so.
        who.set_lifetime(Duration::from_secs(2));
        let rows = whole(&source(options(&server)), "2019").await.unwrap();
        let read: Vec<String> = rows["code"].as_string::<i32>().iter().flatten().map(str::to_owned).collect();
        assert_eq!((read.len(), read.into_iter().collect()), (expected.len(), expected));
        assert!(who.given() > 1, "no token ended");
        println!("{} codes, {} requests, {} tokens", rows.num_rows(), server.requests().len(), who.given());
    });
}

#[test]
fn a_local_deployment_is_asked_itself_and_without_a_token() {
    wait(async {
        let authority = Authority::new();
        let who = Who::local(Tree::constructed());
        let server = Server::tls(who.handler(), &authority.leaf, &authority.key);
        let local = Options { client: None, authorities: Some(authority.pem.clone()), ..options(&server) };
        // Its entities name http://id.who.int as where they are.
        assert_eq!(whole(&source(local.clone()), "2019").await.unwrap().num_rows(), 7);
        let strange = Options { authorities: None, ..local };
        let problem = source(strange).describe("2019").await.unwrap_err();
        assert!(problem.class == Class::Failed && problem.what.contains("no trusted connection"), "{problem}");
    });
}

#[test]
fn what_is_not_there_is_said() {
    wait(async {
        let (_, server) = service(Tree::constructed());
        let source = source(options(&server));
        for table in ["1900", "2019/A00", "..", "2019?x=1", "A00", "A00-A09"] {
            let problem = source.describe(table).await.unwrap_err();
            assert_eq!((problem.class, problem.what.contains("no such table")), (Class::Config, true), "{problem}");
        }
    });
}
