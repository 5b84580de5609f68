//! The pages of a question. The registry tells no total, pages have no token, and behind the 1,200th there is none: what is found
//! is whole only if every page begins with the last row of the page before.

use super::query::Query;
use crate::http::{Failed, Service};
use rcm_core::{Class, Problem};
use reqwest::Url;
use serde_json::Value;
use std::collections::HashSet;

/// The greatest page.
pub(super) const PAGE: usize = 200;

/// How far a page may begin behind the first row.
const DEEPEST: usize = 1000;

/// How often a question is asked from its beginning.
const TRIES: usize = 3;

/// What a question finds.
pub(super) enum Found {
    All(Vec<Value>),
    /// More than can be had in pages; the numbers of those that can.
    TooMany(Vec<String>),
}

/// Asks one question.
pub(super) struct Pages<'a> {
    pub(super) service: &'a Service,
    pub(super) base: &'a Url,
    /// A key of a gateway.
    pub(super) key: Option<&'a str>,
    pub(super) page: usize,
    pub(super) place: &'a str,
}

impl Pages<'_> {
    pub(super) async fn ask(&self, query: &Query) -> Result<Found, Problem> {
        for _ in 0..TRIES {
            if let Some(found) = self.once(query).await? {
                return Ok(found);
            }
        }
        Err(self
            .service
            .problem(Class::Temporary, "it gives the same page again, or its rows moved while they were read"))
    }

    /// None where the pages do not fit together.
    async fn once(&self, query: &Query) -> Result<Option<Found>, Problem> {
        let mut all: Vec<Value> = Vec::new();
        let mut skip = 0;
        loop {
            let mut page = self.page(query, skip).await?;
            let is_last = page.len() < self.page;
            // What was there is there again, or rows before it came or went.
            if all.get(skip).is_some_and(|there| page.first().map(number) != Some(number(there))) {
                return Ok(None);
            }
            all.truncate(skip);
            all.append(&mut page);
            if is_last || skip == DEEPEST {
                let numbers: Vec<String> = all.iter().map(number).collect();
                // Who comes twice took the place of another.
                if numbers.iter().collect::<HashSet<_>>().len() < numbers.len() {
                    return Ok(None);
                }
                return Ok(Some(if is_last { Found::All(all) } else { Found::TooMany(numbers) }));
            }
            skip = (skip + self.page - 1).min(DEEPEST);
        }
    }

    pub(super) async fn page(&self, query: &Query, skip: usize) -> Result<Vec<Value>, Problem> {
        let mut url = self.base.clone();
        url.query_pairs_mut()
            .append_pair("version", "2.1")
            .extend_pairs(query.pairs())
            .append_pair("limit", &self.page.to_string())
            .append_pair("skip", &skip.to_string());
        let mut request = self.service.get(url);
        if let Some(key) = self.key {
            request = request.bearer_auth(key);
        }
        let answer = match self.service.json(&request).await {
            Ok(answer) => answer,
            Err(Failed::Other(problem)) => {
                return Err(Problem { place: format!("{}: {}", self.place, problem.place), ..problem });
            }
            Err(Failed::Refused(401)) if self.key.is_some() => {
                let problem = Problem::new(Class::Failed, self.place, "the gateway refuses the key");
                return Err(problem.hint("correct the `key` of the source"));
            }
            Err(Failed::Refused(status)) => {
                return Err(self.service.problem(Class::Failed, &format!("it answers with status {status}")));
            }
            Err(Failed::Absent) => {
                let problem = Problem::new(Class::Failed, self.place, "there is no registry at this address");
                return Err(problem.hint("correct the `url` of the source"));
            }
        };
        // Errors come with 200.
        if let Some(error) = answer.pointer("/Errors/0") {
            let told = |name: &str| {
                error.get(name).and_then(Value::as_str).unwrap_or("none").chars().take(40).collect::<String>()
            };
            let what =
                format!("the registry refuses the question: error {}, field `{}`", told("number"), told("field"));
            // Of those who are no longer in service it says nothing else.
            if told("number") == "15" {
                return Ok(Vec::new());
            }
            let hint = "03: two letters before a *; 04, 07, 09: ask for more; 05, 06: the value; 17: the version";
            return Err(Problem::new(Class::Config, self.place, what).hint(hint));
        }
        let unlike = || self.service.problem(Class::Temporary, "it sends what is no page of providers");
        let page = answer.get("results").and_then(Value::as_array).ok_or_else(unlike)?;
        let count = answer.get("result_count").and_then(Value::as_u64);
        if count != Some(page.len() as u64)
            || page.len() > self.page
            || !page.iter().all(|record| !number(record).is_empty())
        {
            return Err(unlike());
        }
        Ok(page.clone())
    }
}

/// The NPI of a record, in both shapes.
pub(super) fn number(record: &Value) -> String {
    crate::http::records::text(record.get("number")).unwrap_or_default()
}
