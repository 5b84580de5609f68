//! The 18 REST faults, each in its variations, on one request or on every one.
//!
//! A client may always say that it failed, in a typed error, within [`DEADLINE`]; it may never give fewer rows, or others,
//! as if they were all. Where the table says *succeed* it must come through: one bad answer is no reason to end a run.
//!
//! | | fault | on one request | on every one | why |
//! |---|---|---|---|---|
//! | 1 | 429 with `Retry-After` in seconds, as a date; absurd | succeed; either | temporary | waits as told, no longer than its deadline |
//! | 2 | 429 without it | succeed | temporary | waits by its own steps |
//! | 3 | 500, 502, 503, 504 | succeed | temporary | a GET is repeated |
//! | 4 | connection refused | succeed | temporary | for a second, or for ever |
//! | 5 | reset before the body: before the head, behind it | succeed | temporary | a GET is repeated |
//! | 6 | reset in the middle of the body | succeed | temporary | the half is thrown away |
//! | 7 | truncated JSON in a whole answer | either | say | is broken, not empty |
//! | 8 | `Content-Length` too long; too short | succeed; either | say | too short reads as truncated JSON |
//! | 9 | gzip cut in the middle; before its checksum | either | say | never the half that can be unpacked |
//! | 10 | the body at one byte a second | either | temporary | bytes come: only a deadline for the whole ends it |
//! | 11 | a body that never ends | either | say | a limit in bytes |
//! | 12 | a line of 10 MB | either | either | valid JSON: read, or refused by the limit |
//! | 13 | another content type around the same JSON | either | say | what is not said to be JSON is not read |
//! | 14 | HTML with 200 | either | say | maintenance, a portal |
//! | 15 | a redirect to itself | either | say | a few hops; no key goes to another host |
//! | 16 | the same page twice | either | say | a page whose rows were all seen is not the end, and not the next one |
//! | 17 | a page cycle | either | either | for ever is no answer; who walks a tree may know its way |
//! | 18 | a token whose expiry is skewed: dead at birth; far; past | succeed | say; succeed; succeed | 401: one new token, not a loop |
//!
//! *Either*: all rows or an error. *Say*: an error, of class temporary or failed. *Temporary*: of that class.

use super::http::{End, Framing, Handler, Manner, Request, Response, Server, Then};
use chrono::{TimeDelta, Utc};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a client may take over anything that fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// More requests than any client may need over a fault, beyond what it needs without.
pub(crate) const TOO_MANY_MORE: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Limited(RetryAfter),
    LimitedSilently,
    Status(u16),
    Refused(Duration),
    /// Whether behind the head.
    ResetBefore(bool),
    ResetWithin,
    TruncatedJson,
    /// By how much the length is wrong.
    WrongLength(isize),
    /// How many bytes are missing; none: half.
    GzipCut(Option<usize>),
    Slowloris,
    Endless,
    LongLine,
    WrongType(&'static str),
    Html,
    RedirectLoop,
    SamePage,
    PageCycle,
    Skewed(Skew),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetryAfter {
    Seconds(u64),
    /// So many seconds from now, as an HTTP-date.
    Date(i64),
    Absurd(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Skew {
    /// It is to live an hour, and is dead.
    Dead,
    /// It is to live longer than there is time.
    Far,
    /// It ended an hour ago, and lives.
    Past,
}

/// What a client should come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Should {
    /// All rows.
    Succeed,
    /// All rows, or an error.
    Either,
    /// An error.
    Say,
    /// An error that says that another try may help.
    SayTemporary,
}

/// Which requests have the fault, of those that may have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// From 0.
    Nth(usize),
    First(usize),
    Every,
}

impl When {
    fn has(self, number: usize) -> bool {
        match self {
            When::Nth(nth) => number == nth,
            When::First(many) => number < many,
            When::Every => true,
        }
    }
}

impl Fault {
    /// Each in all its variations.
    pub(crate) fn all() -> Vec<Fault> {
        let mut all = vec![
            Fault::Limited(RetryAfter::Seconds(1)),
            Fault::Limited(RetryAfter::Date(2)),
            Fault::Limited(RetryAfter::Date(-3600)),
            Fault::LimitedSilently,
        ];
        let absurd = [
            "31536000000",
            "9999999999999999999",
            "-5",
            "soon",
            "",
            "1e3",
            "99999999999999999999999",
            "Thu, 32 Foo 2026 25:61:00 GMT",
        ];
        all.extend(absurd.map(|absurd| Fault::Limited(RetryAfter::Absurd(absurd))));
        all.extend([500, 502, 503, 504].map(Fault::Status));
        all.extend([
            Fault::Refused(Duration::from_secs(1)),
            Fault::ResetBefore(false),
            Fault::ResetBefore(true),
            Fault::ResetWithin,
            Fault::TruncatedJson,
            Fault::WrongLength(7),
            Fault::WrongLength(-7),
            Fault::GzipCut(None),
            Fault::GzipCut(Some(8)),
            Fault::Slowloris,
            Fault::Endless,
            Fault::LongLine,
            Fault::WrongType("text/plain"),
            Fault::WrongType("application/octet-stream"),
            Fault::Html,
            Fault::RedirectLoop,
            Fault::SamePage,
            Fault::PageCycle,
        ]);
        all.extend([Skew::Dead, Skew::Far, Skew::Past].map(Fault::Skewed));
        all
    }

    /// Which of the 18 it is.
    pub(crate) fn number(self) -> usize {
        match self {
            Fault::Limited(_) => 1,
            Fault::LimitedSilently => 2,
            Fault::Status(_) => 3,
            Fault::Refused(_) => 4,
            Fault::ResetBefore(_) => 5,
            Fault::ResetWithin => 6,
            Fault::TruncatedJson => 7,
            Fault::WrongLength(_) => 8,
            Fault::GzipCut(_) => 9,
            Fault::Slowloris => 10,
            Fault::Endless => 11,
            Fault::LongLine => 12,
            Fault::WrongType(_) => 13,
            Fault::Html => 14,
            Fault::RedirectLoop => 15,
            Fault::SamePage => 16,
            Fault::PageCycle => 17,
            Fault::Skewed(_) => 18,
        }
    }

    /// Whether it is one of a token, which a source without tokens does not have.
    pub(crate) fn is_of_tokens(self) -> bool {
        matches!(self, Fault::Skewed(_))
    }

    /// What a client should come to, by the table.
    pub(crate) fn should(self, when: When) -> Should {
        match (self, when == When::Every) {
            (Fault::Limited(RetryAfter::Absurd(_)), false) => Should::Either,
            (Fault::WrongLength(less), false) if less < 0 => Should::Either,
            (Fault::Skewed(Skew::Far | Skew::Past), _) | (Fault::Skewed(_) | Fault::WrongLength(_), false) => {
                Should::Succeed
            }
            (_, false) if self.number() <= 6 => Should::Succeed,
            (Fault::LongLine | Fault::PageCycle, _) | (_, false) => Should::Either,
            (Fault::Slowloris, true) => Should::SayTemporary,
            (_, true) if self.number() <= 6 => Should::SayTemporary,
            (_, true) => Should::Say,
        }
    }

    fn apply(self, request: &Request, good: Response, seen: &mut Seen) -> Response {
        let half = good.body.len() / 2;
        match self {
            Fault::Limited(after) => status(429).with("Retry-After", after.text()),
            Fault::LimitedSilently => status(429),
            Fault::Status(code) => status(code),
            // The server is away before it: see `faulty` and `serve`.
            Fault::Refused(_) => good,
            Fault::ResetBefore(has_head) => good.manner(Manner::Ends(has_head.then_some(0), End::Reset)),
            Fault::ResetWithin => good.manner(Manner::Ends(Some(half), End::Reset)),
            Fault::TruncatedJson => Response { body: good.body[..half].to_vec(), ..good },
            Fault::WrongLength(by) => {
                let claimed = Framing::Claimed(good.body.len().saturating_add_signed(by));
                Response { framing: claimed, then: Then::Close, ..good }
            }
            Fault::GzipCut(missing) => {
                let packed =
                    if good.headers.iter().any(|(name, _)| name == "Content-Encoding") { good } else { good.gzip() };
                let left = missing.map_or(packed.body.len() / 2, |missing| packed.body.len() - missing);
                Response { body: packed.body[..left].to_vec(), ..packed }
            }
            Fault::Slowloris => good.manner(Manner::Slow(Duration::from_secs(1))),
            Fault::Endless => good.manner(Manner::Endless),
            Fault::LongLine => changed(&good, |body| body["padding"] = Value::from("x".repeat(10_000_000))),
            Fault::WrongType(other) => good.with("Content-Type", other),
            Fault::Html => Response::new(200, "text/html; charset=utf-8", MAINTENANCE),
            Fault::RedirectLoop => {
                let query: String =
                    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&request.query).finish();
                let to = if query.is_empty() { request.path.clone() } else { format!("{}?{query}", request.path) };
                status(302).with("Location", to)
            }
            Fault::SamePage => seen.pages.last().cloned().unwrap_or(good),
            Fault::PageCycle => seen.cycle(good),
            Fault::Skewed(skew) => changed(&good, |body| {
                if body.get("access_token").is_none() {
                    return;
                }
                body["expires_in"] = match skew {
                    Skew::Dead => Value::from(3600),
                    Skew::Far => Value::from(i64::MAX),
                    Skew::Past => Value::from(-3600),
                };
                if skew == Skew::Dead {
                    seen.dead.extend(body["access_token"].as_str().map(str::to_owned));
                }
            }),
        }
    }
}

impl RetryAfter {
    fn text(self) -> String {
        match self {
            RetryAfter::Seconds(seconds) => seconds.to_string(),
            RetryAfter::Date(ahead) => {
                (Utc::now() + TimeDelta::seconds(ahead)).format("%a, %d %b %Y %H:%M:%S GMT").to_string()
            }
            RetryAfter::Absurd(text) => text.to_owned(),
        }
    }
}

const MAINTENANCE: &str = "<!DOCTYPE html><html><head><title>Maintenance</title></head><body>Back soon.</body></html>";

fn status(status: u16) -> Response {
    Response::new(status, "text/plain", "not now")
}

/// The same answer with another body, where that is an object of JSON.
fn changed(good: &Response, change: impl FnOnce(&mut Value)) -> Response {
    let Ok(mut body) = serde_json::from_slice::<Value>(&good.body) else { return good.clone() };
    if body.is_object() {
        change(&mut body);
    }
    Response { body: body.to_string().into_bytes(), ..good.clone() }
}

/// What was answered before.
#[derive(Default)]
struct Seen {
    number: usize,
    pages: Vec<Response>,
    cycled: usize,
    dead: BTreeSet<String>,
}

impl Seen {
    /// Of a tree: an entity that is its own child. Of pages: the first ones again, in turn.
    fn cycle(&mut self, good: Response) -> Response {
        let is_tree = serde_json::from_slice::<Value>(&good.body).is_ok_and(|body| body.get("@id").is_some());
        if is_tree {
            return changed(&good, |body| {
                let own = body["@id"].clone();
                match body.get_mut("child").and_then(Value::as_array_mut) {
                    Some(children) => children.push(own),
                    None => body["child"] = Value::from(vec![own]),
                }
            });
        }
        if self.pages.len() < 3 {
            return good;
        }
        self.cycled += 1;
        self.pages[(self.cycled - 1) % 3].clone()
    }

    fn is_dead(&self, request: &Request) -> bool {
        let token = request.header("authorization").and_then(|given| given.strip_prefix("Bearer "));
        token.is_some_and(|token| self.dead.contains(token))
    }
}

/// A handler with a fault. Of the requests only those count that `may` have it.
pub(crate) fn faulty(
    fault: Fault,
    when: When,
    may: impl Fn(&Request) -> bool + Send + Sync + 'static,
    inner: Handler,
) -> Handler {
    let seen = Mutex::new(Seen::default());
    Arc::new(move |request: &Request| {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.is_dead(request) {
            return Response::new(401, "text/plain", "").with("WWW-Authenticate", "Bearer error=\"invalid_token\"");
        }
        let good = inner(request);
        if !may(request) {
            return good;
        }
        let number = seen.number;
        seen.number += 1;
        let answer = if when.has(number) { fault.apply(request, good.clone(), &mut seen) } else { good.clone() };
        if matches!(fault, Fault::SamePage | Fault::PageCycle) && good.status == 200 {
            seen.pages.push(answer.clone());
        }
        match fault {
            // The server goes away with the answer to the request before.
            Fault::Refused(time) if when == When::Nth(number + 1) => Response { then: Then::Refuse(time), ..answer },
            _ => answer,
        }
    })
}

/// Those requests that a fault is for, commonly: of tokens a POST, of all else a GET.
pub(crate) fn usual(fault: Fault) -> impl Fn(&Request) -> bool + Send + Sync + 'static {
    let method = if fault.is_of_tokens() { "POST" } else { "GET" };
    move |request| request.method == method
}

/// A plain server with a fault. One that refuses the first request is away when this returns.
pub(crate) fn serve(fault: Fault, when: When, inner: Handler) -> Server {
    serve_by(Server::plain, fault, when, usual(fault), inner)
}

/// A server with a fault, which is started somehow.
pub(crate) fn serve_by(
    start: impl FnOnce(Handler) -> Server,
    fault: Fault,
    when: When,
    may: impl Fn(&Request) -> bool + Send + Sync + 'static,
    inner: Handler,
) -> Server {
    let server = start(faulty(fault, when, may, inner));
    match fault {
        Fault::Refused(_) if when == When::Every => server.refuse(None),
        Fault::Refused(time) if when.has(0) => server.refuse(Some(time)),
        _ => {}
    }
    server
}
