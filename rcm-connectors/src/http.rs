//! JSON over HTTP, from services that are slow, limited, away, or say something else. Not part of the interface.
//!
//! A GET is repeated where another try may help: the line broke, the service has too much to do, or what came is no whole JSON.
//! It waits as told (`Retry-After`), or twice as long as before, and tries for four times its patience. What is not said to be JSON
//! is not read; a redirect stays on its host, so no key goes to another one. Proxies are those of the environment.

pub(crate) mod records;

use crate::tls::{refusal, trusting};
use flate2::read::GzDecoder;
use rcm_core::{Class, Problem};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;
use std::io::Read;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until};

/// Before the second try; before no try longer than the other, if it is not told to.
const PAUSE: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(5);

/// Bytes of an answer at most.
const MOST: usize = 16 << 20;

const HOPS: usize = 3;

/// A service.
#[derive(Debug)]
pub(crate) struct Service {
    client: Client,
    /// Its host, for messages.
    place: String,
    patience: Duration,
    /// From one request to the next.
    pace: Duration,
    next: Mutex<Option<Instant>>,
}

/// Why nothing came.
#[derive(Debug)]
pub(crate) enum Failed {
    /// 400, 401 or 403.
    Refused(u16),
    /// 404.
    Absent,
    /// All else.
    Other(Problem),
}

/// Why nothing came of one try, whether another may help, and when.
type Once = (Failed, bool, Option<Duration>);

impl Service {
    /// At an address of which only the host counts; with so many requests a second at most, or any number.
    pub(crate) fn new(
        base: &Url,
        authorities: Option<&str>,
        patience: Duration,
        per_second: Option<u32>,
    ) -> Result<Service, Problem> {
        let place = base.host_str().unwrap_or_default().to_owned();
        let same_host = Policy::custom(|attempt| {
            let is_same = attempt.previous().first().is_some_and(|first| first.origin() == attempt.url().origin());
            if is_same && attempt.previous().len() <= HOPS { attempt.follow() } else { attempt.error("it leads away") }
        });
        let client = Client::builder()
            .tls_backend_preconfigured(trusting(authorities)?)
            .user_agent(concat!("rcm/", env!("CARGO_PKG_VERSION")))
            .timeout(patience)
            .redirect(same_host)
            .build()
            .map_err(|_| Problem::new(Class::Failed, &place, "no client can be made for it"))?;
        let pace = per_second.map_or(Duration::ZERO, |many| Duration::from_secs(1) / many.max(1));
        Ok(Service { client, place, patience, pace, next: Mutex::new(None) })
    }

    pub(crate) fn get(&self, url: Url) -> RequestBuilder {
        self.client.get(url).header(ACCEPT, "application/json").header(ACCEPT_ENCODING, "gzip")
    }

    #[cfg_attr(not(feature = "icd"), allow(dead_code, reason = "only tokens are posted for"))]
    pub(crate) fn post(&self, url: Url, form: String) -> RequestBuilder {
        let post = self.client.post(url).header(ACCEPT, "application/json");
        post.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form)
    }

    /// What a request is answered.
    pub(crate) async fn json(&self, request: &RequestBuilder) -> Result<Value, Failed> {
        let (until, mut pause) = (Instant::now().checked_add(self.patience.saturating_mul(4)), PAUSE);
        loop {
            self.take_turn().await;
            let again = request
                .try_clone()
                .ok_or_else(|| Failed::Other(self.problem(Class::Failed, "a request cannot be repeated")))?;
            let (failed, may_help, told) = match self.once(again).await {
                Ok(value) => return Ok(value),
                Err(failed) => failed,
            };
            let left = until.map_or(LONGEST, |until| until.saturating_duration_since(Instant::now()));
            let wait = told.unwrap_or_default().max(pause);
            if !may_help || wait >= left {
                return Err(failed);
            }
            sleep(wait).await;
            pause = (pause * 2).min(LONGEST);
        }
    }

    /// Waits until the pace allows for a request.
    async fn take_turn(&self) {
        let mut next = self.next.lock().await;
        if let Some(at) = *next {
            sleep_until(at).await;
        }
        *next = Some(Instant::now() + self.pace);
    }

    async fn once(&self, request: RequestBuilder) -> Result<Value, Once> {
        let mut answer = request.send().await.map_err(|e| self.broken(&e))?;
        let status = answer.status();
        if status != StatusCode::OK {
            return Err(self.refused(status, answer.headers()));
        }
        let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_packed = match header(CONTENT_ENCODING) {
            "" | "identity" => false,
            "gzip" => true,
            _ => return Err(self.other(true, "it sends what is packed in a way that it was not asked for")),
        };
        if !header(CONTENT_TYPE).starts_with("application/json") {
            return Err(self.other(true, "it sends what is not said to be JSON, such as a page about maintenance"));
        }
        let bytes = self.body(&mut answer).await?;
        let read = if is_packed { self.unpacked(&bytes)? } else { bytes };
        serde_json::from_slice(&read).map_err(|_| self.other(true, "it sends what is no whole JSON"))
    }

    async fn body(&self, answer: &mut Response) -> Result<Vec<u8>, Once> {
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|e| self.broken(&e))? {
            body.extend_from_slice(&chunk);
            if body.len() > MOST {
                return Err(self.too_long());
            }
        }
        Ok(body)
    }

    fn unpacked(&self, packed: &[u8]) -> Result<Vec<u8>, Once> {
        let (mut body, mut reader) = (Vec::new(), GzDecoder::new(packed).take(MOST as u64 + 1));
        reader.read_to_end(&mut body).map_err(|_| self.other(true, "it sends what cannot be unpacked"))?;
        if body.len() > MOST { Err(self.too_long()) } else { Ok(body) }
    }

    fn too_long(&self) -> Once {
        self.other(false, &format!("it sends more than {} MiB at once", MOST >> 20))
    }

    fn refused(&self, status: StatusCode, headers: &HeaderMap) -> Once {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        match status.as_u16() {
            code @ (400 | 401 | 403) => (Failed::Refused(code), false, None),
            404 => (Failed::Absent, false, None),
            code @ (408 | 429 | 500 | 502..=504 | 506..) => {
                let (failed, ..) = self.other(true, &format!("it answers with status {code}"));
                (failed, true, header(RETRY_AFTER.as_str()).and_then(|after| waits(after, header("date"))))
            }
            code => self.other(false, &format!("it answers with status {code}")),
        }
    }

    /// What the line says, without the address, which may hold what was asked.
    fn broken(&self, error: &reqwest::Error) -> Once {
        if error.is_redirect() {
            return self.other(false, "it leads from one address to another, or to another host");
        }
        if error.is_timeout() {
            return self.other(true, &format!("it is not done with an answer in {:?}", self.patience));
        }
        if let Some(tls) = refusal(error) {
            let problem = self.problem(Class::Failed, &format!("no trusted connection: {tls}"));
            return (
                Failed::Other(problem.hint("name the authority of the server's certificate in `ca_file`")),
                false,
                None,
            );
        }
        self.other(true, "the connection failed")
    }

    fn other(&self, may_help: bool, what: &str) -> Once {
        let class = if may_help { Class::Temporary } else { Class::Failed };
        (Failed::Other(self.problem(class, what)), may_help, None)
    }

    pub(crate) fn problem(&self, class: Class, what: &str) -> Problem {
        let hint = match class {
            Class::Temporary => {
                "run again later: nothing of this load was kept; if it lasts, look whether the address is right"
            }
            _ => "look whether the address of the source is right, and what stands between it and rcm",
        };
        Problem::new(class, &self.place, what).hint(hint)
    }
}

/// An address of a service, as it stands in a setting. What is not encrypted goes nowhere but to this machine, if nobody says
/// otherwise; what is secret has a setting of its own.
pub(crate) fn address(key: &str, text: &str, plain: bool) -> Result<Url, Problem> {
    let bad = |what: &str, hint: &str| Problem::new(Class::Config, key, what).hint(hint);
    let hint = "write it as https://HOST/PATH";
    let url = Url::parse(text).map_err(|_| bad("is no address", hint))?;
    let is_local = match url.host() {
        Some(url::Host::Ipv4(host)) => host.is_loopback(),
        Some(url::Host::Ipv6(host)) => host.is_loopback(),
        Some(url::Host::Domain(host)) => host == "localhost",
        None => return Err(bad("is no address of a web service", hint)),
    };
    match url.scheme() {
        "https" => {}
        "http" if plain || is_local => {}
        "http" => {
            return Err(bad("is not encrypted", "write https://, or `tls = false` where nobody can read what passes"));
        }
        _ => return Err(bad("is no address of a web service", hint)),
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(bad("holds more than a host and a path", hint));
    }
    Ok(url)
}

/// What `Retry-After` says: seconds, or an instant by the service's own clock; none where it makes no sense.
fn waits(after: &str, date: Option<&str>) -> Option<Duration> {
    if let Ok(seconds) = after.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let instant = |text: &str| chrono::DateTime::parse_from_rfc2822(text).ok();
    let wait = instant(after)? - instant(date?)?;
    Some(wait.to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_told_to_wait_waits_so_long() {
        let now = Some("Mon, 30 Nov 2026 00:00:00 GMT");
        assert_eq!(waits("7", None), Some(Duration::from_secs(7)));
        assert_eq!(waits("Mon, 30 Nov 2026 00:00:09 GMT", now), Some(Duration::from_secs(9)));
        assert_eq!(waits("Sun, 29 Nov 2026 00:00:09 GMT", now), Some(Duration::ZERO));
        for absurd in ["", "soon", "-5", "1e3", "Thu, 32 Foo 2026 25:61:00 GMT"] {
            assert_eq!(waits(absurd, now), None, "{absurd}");
        }
        assert_eq!(waits("Mon, 30 Nov 2026 00:00:09 GMT", None), None);
    }
}
