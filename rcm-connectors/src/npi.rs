//! Providers of the NPPES NPI registry (<https://npiregistry.cms.hhs.gov/api-page>), by question.
//!
//! A table is a question, such as `state=MD&city=BALTIMORE`; its fields are the registry's. What finds more than the 1,200
//! providers that the registry gives is cut by kind of provider and then, with `country_code=US`, by postal code; what cannot be
//! cut is refused. For whole states take the NPPES files instead: CSV, an upsert by NPI.
//!
//! Pages have no order that is promised and no total: each must begin where the one before ended, else the question is asked anew.
//! The registry cannot be asked for what is new: a window reads all that a question finds and keeps what lies in it. It is no
//! snapshot: a provider who is absent is not gone, one who is deactivated says so in `status`.
//!
//! Every row has the record as it came in the column `record`. `--` is null. Numbers and instants are read in both shapes that
//! the registry has shown (2019: numbers and seconds; since then texts and milliseconds).

mod columns;
mod pages;
mod query;

use crate::http::Service;
use crate::http::records::{Column, batch, chosen, schema, within};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use columns::{COLUMNS, LAST_UPDATED, NPI};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use pages::{Found, Pages};
use query::Query;
use rcm_core::{Class, Clock, CursorKind, Described, Problem, Reading, Secret, Source, Wanted, Watermark, Window};
use reqwest::Url;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How the registry is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Its address. Default: that of CMS.
    pub url: String,
    /// A bearer key of a gateway before it; CMS asks for none.
    pub key: Option<Secret>,
    /// Certificates in PEM of authorities that are trusted beside the system's.
    pub authorities: Option<String>,
    /// Requests a second at most; CMS names no limit. Default: 5. None: any number.
    pub per_second: Option<u32>,
    /// How many providers a page has, at most 200. Default: 200.
    pub page: usize,
    /// How long an answer may take. Default: 30 s.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            url: "https://npiregistry.cms.hhs.gov/api/".to_owned(),
            key: None,
            authorities: None,
            per_second: Some(5),
            page: pages::PAGE,
            patience: Duration::from_secs(30),
        }
    }
}

/// The registry. Its methods need a tokio runtime with timers and I/O.
///
/// ```no_run
/// # async fn example(clock: std::sync::Arc<dyn rcm_core::Clock>) -> Result<(), rcm_core::Problem> {
/// use futures::TryStreamExt;
/// use rcm_connectors::npi::{Options, Registry};
/// use rcm_core::{Source, Wanted, Window};
///
/// let registry = Registry::new(Options::default(), clock)?;
/// let table = "organization_name=GENERAL*&state=MD".to_owned();
/// let reading = registry.open(&Wanted { table, columns: Vec::new(), window: Window::Whole }).await?;
/// let mut batches = reading.read(0);
/// while let Some(batch) = batches.try_next().await? {
///     println!("{} providers", batch.num_rows());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Registry {
    options: Arc<Options>,
    base: Url,
    service: Arc<Service>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Registry {
    /// Names a registry; nothing is asked yet.
    ///
    /// # Errors
    /// An address that is none, or authorities that are none (class `config`).
    pub fn new(options: Options, clock: Arc<dyn Clock>) -> Result<Registry, Problem> {
        let bad = |what: &str| Problem::new(Class::Config, "url", what).hint("write it as https://HOST/PATH");
        let base = Url::parse(&options.url).map_err(|_| bad("is no address"))?;
        if !["http", "https"].contains(&base.scheme()) || base.host_str().is_none() {
            return Err(bad("is no address of a web service"));
        }
        let service = Service::new(&base, options.authorities.as_deref(), options.patience, options.per_second)?;
        let options = Options { page: options.page.clamp(2, pages::PAGE), ..options };
        Ok(Registry { options: Arc::new(options), base, service: Arc::new(service), clock })
    }
}

#[async_trait]
impl Source for Registry {
    async fn describe(&self, table: &str) -> Result<Described, Problem> {
        let query = Query::parse(table)?;
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
        let query = Query::parse(&wanted.table)?;
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
                let now = self.clock.now();
                match window {
                    Window::Between { to, .. } => (lower, Some(*to)),
                    Window::Since { watermark: Some(at), .. } if at.is_far_ahead(now, now.naive_utc()) => {
                        let what = "the saved watermark lies ahead of the clock: nothing would be read";
                        let hint = "rebuild the table: `rcm run --full-refresh --select TABLE`";
                        return Err(Problem::new(Class::Config, &wanted.table, what).hint(hint));
                    }
                    _ => (lower, None),
                }
            }
        };
        let table = wanted.table.clone();
        Ok(Box::new(Read { registry: self.clone(), schema: schema(&columns), columns, query, bounds, table }))
    }
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
    /// All that a question finds, or the questions that find it together.
    async fn ask(&self, query: &Query) -> Result<Result<RecordBatch, Vec<Query>>, Problem> {
        let (registry, place) = (&self.registry, self.table.as_str());
        let options = &registry.options;
        let key = options.key.as_ref().map(Secret::expose);
        let pages = Pages { service: &registry.service, base: &registry.base, key, page: options.page, place };
        let broken = |e: arrow::error::ArrowError| Problem::storage(place, e);
        match pages.ask(query).await? {
            Found::All(records) => {
                // The window is looked for in all columns, of which the cursor may not be wanted.
                let rows = within(&batch(place, COLUMNS, &records)?, LAST_UPDATED, self.bounds).map_err(broken)?;
                Ok(Ok(rows))
            }
            Found::TooMany => query.cut().map(Err).ok_or_else(|| {
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
        let begin = (vec![self.query.clone()], HashSet::new());
        let next = move |(mut open, mut seen): (Vec<Query>, HashSet<String>)| async move {
            while let Some(query) = open.pop() {
                match self.ask(&query).await? {
                    // In the order in which they were cut.
                    Err(smaller) => open.extend(smaller.into_iter().rev()),
                    Ok(rows) => {
                        let rows = self.chosen(&rows, &mut seen).map_err(|e| Problem::storage(&self.table, e))?;
                        if rows.num_rows() > 0 {
                            return Ok(Some((rows, (open, seen))));
                        }
                    }
                }
            }
            Ok::<_, Problem>(None)
        };
        stream::try_unfold(begin, next).into_stream().boxed()
    }
}
