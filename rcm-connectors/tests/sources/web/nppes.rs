//! The NPPES registry as it answers today, over providers who do not exist.
//!
//! What is not documented and was not seen, and is a guess here: `limit` or `skip` that are no numbers are error 05, and
//! `limit=0` is the default; an unknown parameter is ignored; `country_code=US` alone is error 04.

mod provider;

#[allow(unused_imports, reason = "what a test makes a provider of")]
pub(crate) use provider::{Address, Kind, Provider, Shape, Taxonomy};

use super::http::{Handler, Request, Response};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The greatest page, and the last place from which the registry really goes on.
pub(crate) const PAGE: usize = 200;
pub(crate) const DEEPEST: usize = 1000;

struct State {
    providers: Vec<Provider>,
    shape: Shape,
}

/// A registry whose providers a test can change while it is read.
#[derive(Clone)]
pub(crate) struct Registry(Arc<Mutex<State>>);

impl Registry {
    pub(crate) fn empty(shape: Shape) -> Registry {
        Registry(Arc::new(Mutex::new(State { providers: Vec::new(), shape })))
    }

    /// With so many providers from a seed.
    pub(crate) fn made_up(seed: u64, many: usize, shape: Shape) -> Registry {
        let registry = Registry::empty(shape);
        registry.state().providers = (0..many).map(|place| Provider::made_up(seed, place)).collect();
        registry
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn providers(&self) -> Vec<Provider> {
        self.state().providers.clone()
    }

    /// At the end of the list, which is the order of the pages.
    pub(crate) fn add(&self, provider: Provider) {
        self.state().providers.push(provider);
    }

    /// At a place: what comes behind it moves by one, from page to page.
    pub(crate) fn insert(&self, place: usize, provider: Provider) {
        self.state().providers.insert(place, provider);
    }

    /// Changes those with a number.
    pub(crate) fn change(&self, number: &str, change: impl Fn(&mut Provider)) {
        self.state().providers.iter_mut().filter(|provider| provider.number == number).for_each(change);
    }

    pub(crate) fn remove(&self, number: &str) {
        self.state().providers.retain(|provider| provider.number != number);
    }

    pub(crate) fn show(&self, shape: Shape) {
        self.state().shape = shape;
    }

    /// What answers for it, at `/api/`.
    pub(crate) fn handler(&self) -> Handler {
        let registry = self.clone();
        Arc::new(move |request: &Request| {
            if !["/api", "/api/"].contains(&request.path.as_str()) {
                return Response::new(404, "text/html", "<html>not found</html>");
            }
            if request.method != "GET" {
                return Response::new(405, "text/html", "<html>not allowed</html>");
            }
            // Errors come with 200 too.
            Response::json(&registry.answer(request).unwrap_or_else(Refused::body))
        })
    }

    fn answer(&self, request: &Request) -> Result<Value, Refused> {
        let query = Query::read(request)?;
        let state = self.state();
        let found = state.providers.iter().filter(|provider| query.finds(provider));
        let page: Vec<Value> =
            found.skip(query.skip).take(query.limit).map(|provider| provider.record(state.shape)).collect();
        Ok(json!({ "result_count": page.len(), "results": page }))
    }
}

/// An error of the registry.
struct Refused {
    number: &'static str,
    field: String,
    description: &'static str,
}

impl Refused {
    fn new(number: &'static str, field: &str) -> Refused {
        let description = match number {
            "03" => "Wildcards require at least two leading characters",
            "04" => "No valid search criteria provided",
            "05" => "Field contains special character(s) or wrong number of characters",
            "06" => "NPI must be 10 digits",
            "07" => "Field state requires additional search criteria",
            "09" => "enumeration_type requires additional search criteria",
            _ => "Unsupported Version",
        };
        Refused { number, field: field.to_owned(), description }
    }

    fn body(self) -> Value {
        json!({ "Errors": [{ "description": self.description, "field": self.field, "number": self.number }] })
    }
}

/// Fields that may end in `*`.
const WILD: [&str; 6] = ["taxonomy_description", "first_name", "last_name", "organization_name", "city", "postal_code"];

struct Query {
    /// What is asked of a provider: field and value, in lower case.
    asked: Vec<(&'static str, String)>,
    limit: usize,
    skip: usize,
}

impl Query {
    fn read(request: &Request) -> Result<Query, Refused> {
        if request.param("version") != Some("2.1") {
            return Err(Refused::new("17", "version"));
        }
        let number = request.param("number");
        if number.is_some_and(|number| number.len() != 10 || !number.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err(Refused::new("06", "number"));
        }
        let mut asked = Vec::new();
        for field in WILD {
            let Some(value) = request.param(field) else { continue };
            let stem = value.strip_suffix('*').unwrap_or(value);
            if stem.len() < value.len() && stem.chars().count() < 2 {
                return Err(Refused::new("03", field));
            }
            if stem.chars().any(|c| !c.is_alphanumeric() && !" -'&,./()".contains(c)) {
                return Err(Refused::new("05", field));
            }
            asked.push((field, value.to_lowercase()));
        }
        for (field, known) in [
            ("enumeration_type", ["NPI-1", "NPI-2", "", ""]),
            ("address_purpose", ["LOCATION", "MAILING", "PRIMARY", "SECONDARY"]),
        ] {
            let Some(value) = request.param(field) else { continue };
            if !known.contains(&value) {
                return Err(Refused::new("05", field));
            }
            asked.push((field, value.to_lowercase()));
        }
        for field in ["state", "country_code"] {
            let Some(value) = request.param(field) else { continue };
            if value.len() != 2 || !value.bytes().all(|byte| byte.is_ascii_alphabetic()) {
                return Err(Refused::new("05", field));
            }
            asked.push((field, value.to_lowercase()));
        }
        asked.extend(number.map(|number| ("number", number.to_owned())));
        Query::enough(&asked)?;
        let whole = |field: &str, or: usize| match request.param(field) {
            None => Ok(or),
            Some(value) => value.parse::<usize>().map_err(|_| Refused::new("05", field)),
        };
        // Too many are clamped, and nothing is said of it.
        let limit = match whole("limit", 10)? {
            0 => 10,
            limit => limit.min(PAGE),
        };
        // Beyond it the same page comes again.
        let skip = whole("skip", 0)?.min(DEEPEST);
        Ok(Query { asked, limit, skip })
    }

    /// What alone is no question.
    fn enough(asked: &[(&'static str, String)]) -> Result<(), Refused> {
        let has = |field: &str| asked.iter().any(|(known, _)| *known == field);
        let is_abroad = asked.iter().any(|(field, value)| *field == "country_code" && value != "us");
        let weak = ["state", "enumeration_type", "country_code", "address_purpose"];
        if asked.iter().any(|(field, _)| !weak.contains(field)) || is_abroad && !has("state") {
            return Ok(());
        }
        Err(match (has("state"), has("enumeration_type")) {
            (true, _) => Refused::new("07", "state"),
            (_, true) => Refused::new("09", "enumeration_type"),
            _ => Refused::new("04", "generic"),
        })
    }

    fn finds(&self, provider: &Provider) -> bool {
        let purpose = self.asked.iter().find(|(field, _)| *field == "address_purpose").map(|(_, value)| value.as_str());
        let at = |of: &dyn Fn(&Address) -> bool| {
            provider.addresses.iter().any(|address| {
                let is_it = match purpose {
                    Some("mailing") => address.purpose == "MAILING",
                    Some("location" | "primary") => address.purpose == "LOCATION",
                    // There are no other places here.
                    Some(_) => false,
                    None => true,
                };
                is_it && of(address)
            })
        };
        self.asked.iter().all(|(field, value)| match *field {
            "number" => provider.number == *value,
            "enumeration_type" => provider.enumeration_type().eq_ignore_ascii_case(value),
            "taxonomy_description" => provider.taxonomies.iter().any(|taxonomy| is_like(&taxonomy.desc, value)),
            "state" => at(&|address| address.state.eq_ignore_ascii_case(value)),
            "country_code" => at(&|address| address.country.eq_ignore_ascii_case(value)),
            "city" => at(&|address| is_like(&address.city, value)),
            // Five digits are those of the first five.
            "postal_code" => at(&|address| match value.len() {
                5 if !value.ends_with('*') => address.postal_code.starts_with(value.as_str()),
                _ => is_like(&address.postal_code, value),
            }),
            "address_purpose" => at(&|_| true),
            _ => match &provider.kind {
                Kind::Person { first, .. } if *field == "first_name" => is_like(first, value),
                Kind::Person { last, .. } if *field == "last_name" => is_like(last, value),
                Kind::Organization { name, other } if *field == "organization_name" => {
                    is_like(name, value) || other.as_ref().is_some_and(|other| is_like(other, value))
                }
                _ => false,
            },
        })
    }
}

/// Whether a text is what was asked for, or begins with it.
fn is_like(text: &str, asked: &str) -> bool {
    let text = text.to_lowercase();
    asked.strip_suffix('*').map_or(text == asked, |stem| text.starts_with(stem))
}
