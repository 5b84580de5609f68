//! `${var:NAME}`, `${env:NAME}` and `${file:/PATH}` in configuration values.

use super::secrets::{of_file, whole_path};
use rcm_core::Secret;
use std::collections::BTreeMap;

/// What may be filled in: `--var` values and the environment, both given by the program, never read here.
#[derive(Clone, Default)]
pub struct Vars {
    /// `--var NAME=VALUE`.
    pub var: BTreeMap<String, String>,
    /// The environment.
    pub env: BTreeMap<String, Secret>,
}

/// Names only: an environment holds secrets.
impl std::fmt::Debug for Vars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vars")
            .field("var", &self.var.keys())
            .field("env", &format!("{} names", self.env.len()))
            .finish()
    }
}

impl Vars {
    /// Fills in all references of a value.
    ///
    /// ```
    /// let mut vars = rcm::config::Vars::default();
    /// vars.var.insert("data".into(), "/mnt/data".into());
    /// assert_eq!(vars.fill("${var:data}/EMR").unwrap(), "/mnt/data/EMR");
    /// assert!(vars.fill("${var:dta}").unwrap_err().contains("did you mean `data`?"));
    /// ```
    ///
    /// # Errors
    /// What is wrong, in words: an unknown name, another kind of reference, an open brace.
    pub fn fill(&self, value: &str) -> Result<String, String> {
        let (mut out, mut rest) = (String::new(), value);
        while let Some(at) = rest.find("${") {
            out.push_str(&rest[..at]);
            let Some(end) = rest[at..].find('}') else { return Err("`${` is never closed by `}`".to_owned()) };
            let reference = &rest[at + 2..at + end];
            let (kind, name) = reference.split_once(':').unwrap_or((reference, ""));
            if kind == "file" {
                out.push_str(of_file(&whole_path(name)?)?.expose());
                rest = &rest[at + end + 1..];
                continue;
            }
            let (value, how) = match kind {
                "var" => (self.var.get(name).map(String::as_str), "give it with --var NAME=VALUE"),
                "env" => (self.env.get(name).map(Secret::expose), "set it in the environment"),
                "kv" => {
                    return Err(format!(
                        "`${{{reference}}}` stands for a secret: password, token, key, client_secret, or a key of storage_options, \
                         and for all of it"
                    ));
                }
                _ => {
                    return Err(format!(
                        "`${{{reference}}}` is unknown, expected `${{var:NAME}}`, `${{env:NAME}}`, `${{file:/PATH}}` or \
                         `${{kv:VAULT/NAME}}`"
                    ));
                }
            };
            match value {
                Some(value) => out.push_str(value),
                None => {
                    // Names of the environment are nobody's business; those on the command line are the user's own.
                    let near =
                        (kind == "var").then(|| super::nearest(name, self.var.keys().map(String::as_str))).flatten();
                    let hint = near.map_or_else(|| how.to_owned(), |near| format!("did you mean `{near}`?"));
                    return Err(format!("`${{{reference}}}` has no value: {hint}"));
                }
            }
            rest = &rest[at + end + 1..];
        }
        Ok(out + rest)
    }
}
