//! Providers of the NPPES NPI registry (<https://npiregistry.cms.hhs.gov/api-page>), by question.
//!
//! A table is a question, such as `state=MD&city=BALTIMORE`, or the name of one ([`Options::tables`]); its fields are the
//! registry's. What finds more than the 1,200
//! providers that the registry gives is cut by kind of provider and then, with `country_code=US`, by postal code; what cannot be
//! cut is refused. For whole states take the NPPES files instead: CSV, an upsert by NPI.
//!
//! Pages have no order that is promised and no total: each must begin where the one before ended, else the question is asked anew.
//! The registry cannot be asked for what is new: a window reads all that a question finds and keeps what lies in it. It is no
//! snapshot: a provider who is absent is not gone. Of those who are no longer in service the registry shows nothing (their numbers are
//! as if nobody had them): that stands in CMS's list of deactivated NPIs.
//!
//! Every row has its record in the column `record`, all of it, with its keys in order. `--` is null. Numbers and instants are read in both shapes that
//! the registry has shown (2019: numbers and seconds; since then texts and milliseconds).

mod columns;
mod pages;
mod query;

use crate::http::records::{Column, batch, chosen, schema, within};
use crate::http::{Service, address};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use columns::{COLUMNS, LAST_UPDATED, NPI};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use pages::{Found, Pages};
use query::Query;
use rcm_core::{Class, CursorKind, Described, Problem, Reading, Secret, Source, Wanted, Watermark, Window};
use reqwest::Url;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// How the registry is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Its address. Default: that of CMS.
    pub url: String,
    /// Names of questions, by which they can be asked too.
    pub tables: BTreeMap<String, String>,
    /// A bearer key of a gateway before it; CMS asks for none.
    pub key: Option<Secret>,
    /// Certificates in PEM of authorities that are trusted beside the system's.
    pub authorities: Option<String>,
    /// Requests a second at most; CMS names no limit. Default: 5. None: any number.
    pub per_second: Option<u32>,
    /// Without TLS, to another machine. Default: false.
    pub plain: bool,
    /// How many providers a page has, at most 200. Default: 200.
    pub page: usize,
    /// How long before the present a window ends: the registry changes daily, in the midst of a read. Default: a day.
    pub settle: TimeDelta,
    /// How long an answer may take. Default: 30 s.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            url: "https://npiregistry.cms.hhs.gov/api/".to_owned(),
            tables: BTreeMap::new(),
            key: None,
            authorities: None,
            per_second: Some(5),
            plain: false,
            page: pages::PAGE,
            settle: TimeDelta::days(1),
            patience: Duration::from_secs(30),
        }
    }
}

/// The registry. Its methods need a tokio runtime with timers and I/O.
///
/// ```no_run
/// # async fn example(now: chrono::DateTime<chrono::Utc>) -> Result<(), rcm_core::Problem> {
/// use futures::TryStreamExt;
/// use rcm_connectors::npi::{Options, Registry};
/// use rcm_core::{Source, Wanted, Window};
///
/// let registry = Registry::new(Options::default(), now)?;
/// let table = "organization_name=GENERAL*&state=MD".to_owned();
/// let reading = registry.open(&Wanted { table, columns: Vec::new(), window: Window::Whole }).await?;
/// let mut batches = reading.read(0);
/// while let Some(batch) = batches.try_next().await? {
///     println!("{} providers", batch.num_rows());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Registry {
    options: Arc<Options>,
    base: Url,
    service: Arc<Service>,
    now: DateTime<Utc>,
}

impl Registry {
    /// Names a registry; nothing is asked yet. What time it is only the caller knows.
    ///
    /// # Errors
    /// An address that is none, or authorities that are none (class `config`).
    pub fn new(options: Options, now: DateTime<Utc>) -> Result<Registry, Problem> {
        let base = address("url", &options.url, options.plain)?;
        if options.key.as_ref().is_some_and(|key| !is_header(key.expose())) {
            let problem =
                Problem::new(Class::Config, "key", "has characters that no header may have, such as the end of a line");
            return Err(problem.hint("take them out where the key is kept"));
        }
        let service = Service::new(&base, options.authorities.as_deref(), options.patience, options.per_second)?;
        let options = Options { page: options.page.clamp(2, pages::PAGE), ..options };
        Ok(Registry { options: Arc::new(options), base, service: Arc::new(service), now })
    }

    fn question(&self, table: &str) -> Result<Query, Problem> {
        let asked = self.options.tables.get(table).map_or(table, String::as_str);
        Query::parse(asked).map_err(|problem| Problem { place: table.to_owned(), ..problem })
    }
}

#[async_trait]
impl Source for Registry {
    async fn describe(&self, table: &str) -> Result<Described, Problem> {
        let query = self.question(table)?;
        // Whether it may be asked, the registry says.
        let pages = Pages {
            service: &self.service,
            base: &self.base,
            key: self.options.key.as_ref().map(Secret::expose),
            page: 2,
            place: table,
        };
        pages.page(&query, 0).await?;
        let cursors = vec![(LAST_UPDATED.to_owned(), CursorKind::TimestampTz, false)];
        Ok(Described { schema: schema(COLUMNS), key: vec![NPI.to_owned()], cursors })
    }

    async fn open(&self, wanted: &Wanted) -> Result<Box<dyn Reading>, Problem> {
        let query = self.question(&wanted.table)?;
        let columns = chosen(&wanted.table, COLUMNS, &wanted.columns)?;
        let placed = |problem| Problem { place: wanted.table.clone(), ..problem };
        let bounds = match &wanted.window {
            Window::Whole => (None, None),
            Window::Since { cursor, .. } | Window::Between { cursor, .. } if cursor != LAST_UPDATED => {
                let what = format!("column `{cursor}` cannot tell what is new");
                let hint = format!("the registry's watermark is `{LAST_UPDATED}`");
                return Err(Problem::new(Class::Config, &wanted.table, what).hint(hint));
            }
            window => {
                let lower = window.lower(CursorKind::TimestampTz).map_err(placed)?;
                let now = self.now;
                match window {
                    Window::Between { to, .. } => (lower, Some(*to)),
                    Window::Since { watermark: Some(at), .. } if at.is_far_ahead(now, now.naive_utc()) => {
                        let what = "the saved watermark lies ahead of the clock: nothing would be read";
                        let hint = "rebuild the table: `rcm run --full-refresh --select TABLE`";
                        return Err(Problem::new(Class::Config, &wanted.table, what).hint(hint));
                    }
                    _ => (lower, now.checked_sub_signed(self.options.settle).map(Watermark::TimestampTz)),
                }
            }
        };
        let table = wanted.table.clone();
        Ok(Box::new(Read { registry: self.clone(), schema: schema(&columns), columns, query, bounds, table }))
    }
}

/// What a question came to.
enum Asked {
    /// Its rows in the window, and the numbers of all.
    Rows(RecordBatch, Vec<String>),
    /// The questions that find the same together, and numbers that they must find.
    Parts(Vec<Query>, Vec<String>),
}

fn is_header(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..0x7f).contains(&byte))
}

struct Read {
    registry: Registry,
    schema: SchemaRef,
    columns: Vec<Column>,
    query: Query,
    bounds: (Option<Watermark>, Option<Watermark>),
    table: String,
}

impl Read {
    async fn ask(&self, query: &Query) -> Result<Asked, Problem> {
        let (registry, place) = (&self.registry, self.table.as_str());
        let options = &registry.options;
        let key = options.key.as_ref().map(Secret::expose);
        let pages = Pages { service: &registry.service, base: &registry.base, key, page: options.page, place };
        let broken = |e: arrow::error::ArrowError| Problem::storage(place, e);
        match pages.ask(query).await? {
            Found::All(records) => {
                // The window is looked for in all columns, of which the cursor may not be wanted.
                let rows = within(&batch(place, COLUMNS, &records)?, LAST_UPDATED, self.bounds).map_err(broken)?;
                Ok(Asked::Rows(rows, records.iter().map(pages::number).collect()))
            }
            Found::TooMany(numbers) => query.cut().map(|parts| Asked::Parts(parts, numbers)).ok_or_else(|| {
                Problem::new(
                    Class::Config,
                    place,
                    "the question finds more providers than the registry gives, and cannot be cut",
                )
                .hint("ask for country_code=US, by whose postal codes it can, for less, or take the NPPES files")
            }),
        }
    }

    /// Those columns that are wanted, of rows that were not seen before.
    fn chosen(&self, rows: &RecordBatch, seen: &mut HashSet<String>) -> Result<RecordBatch, arrow::error::ArrowError> {
        let keys = rows.column(0).as_ref();
        let keys = arrow::array::AsArray::as_string::<i32>(keys);
        let is_new = keys.iter().map(|key| Some(seen.insert(key.unwrap_or_default().to_owned()))).collect();
        let rows = arrow::compute::filter_record_batch(rows, &is_new)?;
        let places = self.columns.iter().map(|column| rows.schema_ref().index_of(column.name));
        rows.project(&places.collect::<Result<Vec<_>, _>>()?)
    }
}

impl Reading for Read {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn bounds(&self) -> (Option<Watermark>, Option<Watermark>) {
        self.bounds
    }

    fn is_snapshot(&self) -> bool {
        false
    }

    fn parts(&self) -> usize {
        1
    }

    fn read(&self, _part: usize) -> BoxStream<'_, Result<RecordBatch, Problem>> {
        let next = move |mut walk: Walk| async move {
            while let Some(query) = walk.open.pop() {
                match self.ask(&query).await? {
                    // In the order in which they were cut.
                    Asked::Parts(parts, numbers) => {
                        walk.open.extend(parts.into_iter().rev());
                        walk.due.extend(numbers);
                    }
                    Asked::Rows(rows, numbers) => {
                        walk.found.extend(numbers);
                        let rows = self.chosen(&rows, &mut walk.seen).map_err(|e| Problem::storage(&self.table, e))?;
                        if rows.num_rows() > 0 {
                            return Ok(Some((rows, walk)));
                        }
                    }
                }
            }
            if walk.due.iter().any(|number| !walk.found.contains(number)) {
                let what =
                    "the parts of the question do not find all that it finds: some have no postal code, or rows moved";
                return Err(Problem::new(Class::Temporary, &self.table, what)
                    .hint("run again; if it happens again, ask for less, or take the NPPES files"));
            }
            Ok::<_, Problem>(None)
        };
        let walk = Walk { open: vec![self.query.clone()], ..Walk::default() };
        stream::try_unfold(walk, next).into_stream().boxed()
    }
}

/// Where a read stands.
#[derive(Default)]
struct Walk {
    open: Vec<Query>,
    /// Whose rows were given.
    seen: HashSet<String>,
    /// Who was found.
    found: HashSet<String>,
    /// Who was found by a question that had to be cut.
    due: HashSet<String>,
}
