//! ICD-10 of the WHO, by its API: a tree that is walked from its root.
//! <https://icd.who.int/icdapi/docs2>

use super::token::Tokens;
use super::walked::Walked;
use crate::codes::whole;
use crate::http::records::{Column, Of, batch, chosen, schema, text};
use crate::http::{Failed, Service, address};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use rcm_core::{Class, Described, Problem, Reading, Secret, Source, Wanted, Watermark};
use reqwest::Url;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Where entities lie.
const ROOT: &str = "/icd/release/10/";

/// Entities of a batch, and bytes of them.
const ROWS: usize = 500;
const BYTES: usize = 8 << 20;

/// How often another entity than the one that was asked for is taken for a mistake.
const TRIES: usize = 3;

/// A client of the WHO's token service (<https://icd.who.int/icdapi>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: Secret,
}

/// How the API is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Its address. Default: that of the WHO. Of a local deployment the entities still name the WHO as where they are; they are
    /// asked for here.
    pub url: String,
    /// Its token service. Default: that of the WHO.
    pub token_url: String,
    /// Who asks; none at a local deployment.
    pub client: Option<Client>,
    /// Certificates in PEM of authorities that are trusted beside the system's.
    pub authorities: Option<String>,
    /// Requests a second at most; the WHO names no limit. Default: 5. None: any number.
    pub per_second: Option<u32>,
    /// How long an answer may take. Default: 30 s.
    pub patience: Duration,
    /// Without TLS, to another machine. Default: false.
    pub plain: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            url: "https://id.who.int".to_owned(),
            token_url: "https://icdaccessmanagement.who.int/connect/token".to_owned(),
            client: None,
            authorities: None,
            per_second: Some(5),
            patience: Duration::from_secs(30),
            plain: false,
        }
    }
}

/// The API. A table is a release, such as `2019`; a row is a chapter, a block or a category. Its methods need a tokio runtime
/// with timers and I/O.
///
/// It is no snapshot: the tree is walked entity by entity, some 14,000 of them. `block` is the innermost of blocks that lie in each
/// other; `parent_code` leads to the others.
///
/// ```no_run
/// # async fn example() -> Result<(), rcm_core::Problem> {
/// use futures::TryStreamExt;
/// use rcm_connectors::icd::{Client, Options, Who};
/// use rcm_core::{Secret, Source, Wanted, Window};
///
/// let client = Some(Client { id: "…".into(), secret: Secret::new("…") });
/// let who = Who::new(Options { client, ..Options::default() })?;
/// let reading = who.open(&Wanted { table: "2019".into(), columns: Vec::new(), window: Window::Whole }).await?;
/// let mut batches = reading.read(0);
/// while let Some(batch) = batches.try_next().await? {
///     println!("{} codes", batch.num_rows());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Who(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Where walks are kept that did not end, and when it is.
    walks: Option<(PathBuf, DateTime<Utc>)>,
    base: Url,
    service: Service,
    tokens: Option<Tokens>,
}

impl Who {
    /// Names the API; nothing is asked yet.
    ///
    /// # Errors
    /// An address that is none, or authorities that are none (class `config`).
    pub fn new(options: Options) -> Result<Who, Problem> {
        Who::made(options, None)
    }

    /// The same; what a walk finds is kept in a folder until it is whole. A walk that breaks goes on there when it is begun again, by
    /// whomever, within a day of its last word: `now` is the present. [`Reading::notes`] says so.
    ///
    /// # Errors
    /// As [`Who::new`].
    pub fn resuming(options: Options, folder: impl Into<PathBuf>, now: DateTime<Utc>) -> Result<Who, Problem> {
        Who::made(options, Some((folder.into(), now)))
    }

    fn made(options: Options, walks: Option<(PathBuf, DateTime<Utc>)>) -> Result<Who, Problem> {
        let base = address("url", &options.url, options.plain)?;
        let authorities = options.authorities.as_deref();
        let service = Service::new(&base, authorities, options.patience, options.per_second)?;
        let tokens = options.client.map(|client| {
            let url = address("token_url", &options.token_url, options.plain)?;
            Ok::<_, Problem>(Tokens::new(
                Service::new(&url, authorities, options.patience, options.per_second)?,
                url,
                client,
            ))
        });
        Ok(Who(Arc::new(Shared { walks, base, service, tokens: tokens.transpose()? })))
    }
}

impl Shared {
    /// An entity by its path; none where there is none.
    async fn entity(&self, place: &str, path: &str) -> Result<Option<Value>, Problem> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        for _ in 0..TRIES {
            let Some(entity) = self.ask(&url).await? else { return Ok(None) };
            // Another one came: a page that stands in a cache, or a mistake.
            if entity.get("@id").and_then(Value::as_str).and_then(path_of).as_deref() == Some(path) {
                return Ok(Some(entity));
            }
        }
        Err(Problem { place: format!("{place}: {}", self.unlike().place), ..self.unlike() })
    }

    async fn ask(&self, url: &Url) -> Result<Option<Value>, Problem> {
        let mut refused = None;
        loop {
            let token = match &self.tokens {
                Some(tokens) => Some(tokens.get(refused.as_ref()).await?),
                None => None,
            };
            let mut request = self.service.get(url.clone()).header("API-Version", "v2").header("Accept-Language", "en");
            if let Some(token) = &token {
                request = request.bearer_auth(token.expose());
            }
            let problem = match self.service.json(&request).await {
                Ok(entity) => return Ok(Some(entity)),
                Err(Failed::Refused(401)) if token.is_some() && refused.is_none() => {
                    refused = token;
                    continue;
                }
                Err(Failed::Refused(401)) => self
                    .service
                    .problem(Class::Failed, "it refuses the token, or wants one")
                    .hint("correct client_id and client_secret of the source; a local deployment asks for none"),
                Err(Failed::Refused(status)) => {
                    self.service.problem(Class::Failed, &format!("it answers with status {status}"))
                }
                Err(Failed::Absent) => return Ok(None),
                Err(Failed::Other(problem)) => problem,
            };
            return Err(problem);
        }
    }

    fn unlike(&self) -> Problem {
        self.service.problem(Class::Temporary, "it sends another entity than the one that was asked for")
    }
}

/// The path of an entity's address, which names the WHO wherever it was asked for.
pub(super) fn path_of(uri: &str) -> Option<String> {
    let url = Url::parse(uri).ok()?;
    Some(url.path().to_owned())
}

macro_rules! columns {
    ($($name:literal $of:ident $at:expr;)*) => { &[$(Column { name: $name, of: Of::$of, at: $at }),*] };
}

/// Of an entity with what the walk knows of it.
const COLUMNS: &[Column] = columns! {
    "code" Key |r| text(r.get("code"));
    "class_kind" Text |r| text(r.pointer("/entity/classKind"));
    "title" Text |r| text(r.pointer("/entity/title/@value"));
    "definition" Text |r| text(r.pointer("/entity/definition/@value"));
    "parent_code" Text |r| text(r.get("parent"));
    "chapter" Text |r| text(r.get("chapter"));
    "block" Text |r| text(r.get("block"));
    "is_leaf" Flag |r| text(r.get("is_leaf"));
    "usage" Text |r| text(r.pointer("/entity/usage"));
    "release" Text |r| text(r.get("release"));
    "browser_url" Text |r| text(r.pointer("/entity/browserUrl"));
    "record" Text |r| r.get("entity").map(Value::to_string);
};

/// What is still to be asked for: a path, and what is above it.
#[derive(Debug, Clone)]
struct Open {
    path: String,
    parent: Option<String>,
    chapter: Option<String>,
    block: Option<String>,
}

/// A release. Of a code there is an entity at the same place, which names the releases that have it.
fn release(table: &str, entity: Option<Value>) -> Result<Value, Problem> {
    let none = "there is no such table: the service does not know the release";
    let entity = entity
        .ok_or_else(|| Problem::new(Class::Config, table, none).hint("write a release of ICD-10, such as 2019"))?;
    if entity.get("child").is_some_and(Value::is_array) && entity.get("latestRelease").is_none() {
        return Ok(entity);
    }
    Err(Problem::new(Class::Config, table, "there is no such table: it is no release")
        .hint("write a release of ICD-10, such as 2019"))
}

/// A release by its name; with a slash or anything else in it it would lead elsewhere.
fn root(table: &str) -> Result<String, Problem> {
    let is_name =
        (1..=20).contains(&table.len()) && table.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if is_name {
        return Ok(format!("{ROOT}{table}"));
    }
    Err(Problem::new(Class::Config, table, "there is no such table").hint("write a release of ICD-10, such as 2019"))
}

#[async_trait]
impl Source for Who {
    async fn describe(&self, table: &str) -> Result<Described, Problem> {
        release(table, self.0.entity(table, &root(table)?).await?)?;
        Ok(Described { schema: schema(COLUMNS), key: vec!["code".to_owned()], cursors: Vec::new() })
    }

    async fn open(&self, wanted: &Wanted) -> Result<Box<dyn Reading>, Problem> {
        let root = root(&wanted.table)?;
        whole(&wanted.table, &wanted.window)?;
        let columns = chosen(&wanted.table, COLUMNS, &wanted.columns)?;
        let (schema, notes) = (schema(&columns), Mutex::default());
        Ok(Box::new(Read { who: self.clone(), table: wanted.table.clone(), root, schema, columns, notes }))
    }
}

struct Read {
    who: Who,
    table: String,
    root: String,
    schema: SchemaRef,
    columns: Vec<Column>,
    /// Of the walk, when it came to an end.
    notes: Mutex<Vec<String>>,
}

/// Where a walk stands.
struct Walk {
    /// What one before it found.
    walked: Option<Walked>,
    open: Vec<Open>,
    seen: HashSet<String>,
}

impl Read {
    /// The next rows; none where all were seen.
    async fn next(&self, walk: &mut Walk) -> Result<Option<RecordBatch>, Problem> {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while rows.len() < ROWS && bytes < BYTES {
            let Some(open) = walk.open.pop() else { break };
            let known = walk.walked.as_mut().and_then(|walked| walked.take(&open.path));
            let is_known = known.is_some();
            let found = match known {
                None => self.who.0.entity(&self.table, &open.path).await?,
                known => known,
            };
            let below = format!("{}/", self.root);
            let (code, entity) = match (open.path.strip_prefix(&below), found) {
                (None, found) => (None, release(&self.table, found)?),
                // Its address and its code say the same.
                (Some(path), Some(entity)) => {
                    let code = text(entity.get("code")).filter(|code| code == path);
                    (Some(code.ok_or_else(|| self.who.0.unlike())?), entity)
                }
                (Some(_), None) => {
                    // What named it may be of an earlier walk.
                    walk.walked.iter_mut().for_each(Walked::end);
                    let what = "it names an entity that it does not have";
                    return Err(self.who.0.service.problem(Class::Temporary, what));
                }
            };
            let kind = entity.get("classKind").and_then(Value::as_str).unwrap_or_default();
            let chapter = if kind == "chapter" { code.clone() } else { open.chapter.clone() };
            let block = if kind == "block" { code.clone() } else { open.block.clone() };
            let children = match entity.get("child") {
                None | Some(Value::Null) => &[],
                Some(Value::Array(children)) => children.as_slice(),
                // As the description of the API has a parent.
                Some(child @ Value::String(_)) => std::slice::from_ref(child),
                Some(_) => return Err(self.who.0.unlike()),
            };
            let mut next = Vec::new();
            for child in children {
                // Outside of the release there is none of it.
                let path = child.as_str().and_then(path_of).filter(|path| path.starts_with(&below));
                let path = path.ok_or_else(|| self.who.0.unlike())?;
                // A way that leads back is one that was gone.
                if walk.seen.insert(path.clone()) {
                    next.push(Open { path, parent: code.clone(), chapter: chapter.clone(), block: block.clone() });
                }
            }
            if let (Some(walked), false) = (&mut walk.walked, is_known) {
                walked.keep(&entity);
            }
            if let Some(code) = code {
                let is_leaf = children.is_empty();
                bytes += entity.to_string().len();
                rows.push(json!({
                    "is_leaf": is_leaf, "parent": open.parent, "chapter": chapter, "block": block,
                    "release": self.table, "code": code, "entity": entity,
                }));
            }
            walk.open.extend(next.into_iter().rev());
        }
        if rows.is_empty() {
            walk.walked.iter_mut().for_each(Walked::end);
            return Ok(None);
        }
        batch(&self.table, &self.columns, &rows).map(Some)
    }
}

impl Reading for Read {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn bounds(&self) -> (Option<Watermark>, Option<Watermark>) {
        (None, None)
    }

    fn is_snapshot(&self) -> bool {
        false
    }

    fn parts(&self) -> usize {
        1
    }

    fn read(&self, _part: usize) -> BoxStream<'_, Result<RecordBatch, Problem>> {
        let begin = Open { path: self.root.clone(), parent: None, chapter: None, block: None };
        let walked = self.who.0.walks.as_ref().map(|(folder, now)| {
            let of = format!("{} {}", self.who.0.base, self.table);
            Walked::of(folder, &of, *now)
        });
        let walk = Walk { walked, seen: HashSet::from([begin.path.clone()]), open: vec![begin] };
        let next = move |mut walk: Walk| async move {
            let rows = self.next(&mut walk).await;
            let notes = walk.walked.as_ref().map(Walked::notes);
            *self.notes.lock().unwrap_or_else(PoisonError::into_inner) = notes.unwrap_or_default();
            Ok::<_, Problem>(rows?.map(|rows| (rows, walk)))
        };
        stream::try_unfold(walk, next).into_stream().boxed()
    }

    fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
