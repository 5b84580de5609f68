//! Questions that find much, pages that move, errors that come with 200, and both shapes of records.

use super::{ALL, numbers, options, source};
use crate::web::http::{Handler, Request, Response, Server};
use crate::web::nppes::{Provider, Registry, Shape};
use crate::{wait, whole};
use arrow::array::{Array, AsArray, RecordBatch};
use rcm_connectors::npi::Options;
use rcm_core::{Class, Source};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

fn keys(rows: &RecordBatch) -> Vec<String> {
    rows["npi"].as_string::<i32>().iter().flatten().map(str::to_owned).collect()
}

#[test]
fn what_finds_more_than_the_registry_gives_is_cut_or_refused() {
    wait(async {
        let registry = Registry::made_up(3, 4_000, Shape::Of2026);
        let server = Server::plain(registry.handler());
        let rows = whole(&source(options(&server)), &format!("{ALL}&country_code=US")).await.unwrap();
        let read = keys(&rows);
        assert_eq!((read.len(), read.into_iter().collect::<BTreeSet<_>>()), (4_000, numbers(&registry)));
        let problem = whole(&source(options(&server)), ALL).await.unwrap_err();
        assert_eq!(problem.class, Class::Config);
        assert!(problem.hint.unwrap().contains("country_code=US"));
    });
}

/// A handler that does something before its nth answer.
fn before(nth: usize, registry: &Registry, act: impl Fn(&Registry) + Send + Sync + 'static) -> Handler {
    let (inner, registry, asked) = (registry.handler(), registry.clone(), AtomicUsize::new(0));
    Arc::new(move |request: &Request| {
        if asked.fetch_add(1, Ordering::SeqCst) == nth {
            act(&registry);
        }
        inner(request)
    })
}

#[test]
fn rows_that_move_from_page_to_page_are_neither_lost_nor_doubled() {
    wait(async {
        // One goes away in front, one comes in front, one changes and goes to the end; while the fourth page is asked for.
        let acts: [fn(&Registry); 4] = [
            |registry| registry.remove(&registry.providers()[3].number),
            |registry| registry.insert(2, Provider::made_up(9, 900)),
            // Two that change places over the edges of pages.
            |registry| {
                let (one, other) = (registry.providers()[4].clone(), registry.providers()[41].clone());
                registry.remove(&one.number);
                registry.remove(&other.number);
                registry.insert(4, other);
                registry.insert(41, one);
            },
            |registry| {
                let moved = registry.providers()[12].clone();
                registry.remove(&moved.number);
                registry.add(moved);
            },
        ];
        for act in acts {
            let registry = Registry::made_up(5, 60, Shape::Of2026);
            let server = Server::plain(before(4, &registry, act));
            let rows = whole(&source(Options { page: 10, ..options(&server) }), ALL).await.unwrap();
            let read = keys(&rows);
            assert_eq!(
                (read.len(), read.into_iter().collect::<BTreeSet<_>>()),
                (registry.providers().len(), numbers(&registry))
            );
        }
    });
}

#[test]
fn errors_come_with_200() {
    wait(async {
        let server = Server::plain(Registry::made_up(1, 5, Shape::Of2026).handler());
        for (table, number) in [
            ("state=MD", "07"),
            ("enumeration_type=NPI-1", "09"),
            ("country_code=US", "04"),
            ("last_name=A*", "03"),
            ("enumeration_type=NPI-9&city=X", "05"),
            ("number=123", "06"),
        ] {
            let problem = source(options(&server)).describe(table).await.unwrap_err();
            assert_eq!(problem.class, Class::Config, "{problem}");
            assert!(problem.what.contains(&format!("error {number}")), "{table}: {problem}");
        }
        // Who is no longer in service is nobody, and so is nobody.
        let gone = Server::plain(Arc::new(|_: &Request| {
            let what = "Our public registry does not display provider information about NPIs that are not in service.";
            Response::json(
                &serde_json::json!({ "Errors": [{ "description": what, "field": "number", "number": "15" }] }),
            )
        }));
        assert_eq!(whole(&source(options(&gone)), "number=1234567893").await.unwrap().num_rows(), 0);
        let nobody = whole(&source(options(&server)), "number=1234567893").await;
        assert_eq!(nobody.unwrap().num_rows(), 0);
    });
}

#[test]
fn both_shapes_of_records_are_the_same_rows() {
    wait(async {
        let registry = Registry::made_up(1, 50, Shape::Of2026);
        let server = Server::plain(registry.handler());
        let now = whole(&source(options(&server)), ALL).await.unwrap();
        registry.show(Shape::Of2019);
        let then = whole(&source(options(&server)), ALL).await.unwrap();
        for (column, field) in now.schema().fields().iter().enumerate().filter(|(_, field)| field.name() != "record") {
            assert_eq!(now.column(column), then.column(column), "{}", field.name());
        }
        let filled = |name: &str| now.num_rows() - now[name].null_count();
        assert_eq!((filled("last_updated"), filled("postal_code"), filled("name_prefix")), (50, 50, 0));
        assert!((1..50).contains(&filled("sex")) && filled("sex") + filled("organization_name") == 50);
    });
}

#[test]
fn the_registry_is_asked_no_faster_than_it_should_be() {
    wait(async {
        let server = Server::plain(Registry::made_up(1, 45, Shape::Of2026).handler());
        let begin = Instant::now();
        let options = Options { page: 10, per_second: Some(50), ..options(&server) };
        assert_eq!(whole(&source(options), ALL).await.unwrap().num_rows(), 45);
        let asked = server.requests();
        assert_eq!(server.most_at_once(), 1);
        for pair in asked.windows(2) {
            // As the server saw it: a little less than what was waited.
            assert!(pair[1].at - pair[0].at > std::time::Duration::from_millis(10), "{:?}", begin.elapsed());
        }
    });
}
