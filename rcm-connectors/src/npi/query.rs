//! A question to the registry, and the smaller ones that together find the same.

use rcm_core::{Class, Problem};

/// What may be asked.
const FIELDS: [&str; 12] = [
    "use_first_name_alias",
    "number",
    "enumeration_type",
    "taxonomy_description",
    "first_name",
    "last_name",
    "organization_name",
    "city",
    "state",
    "postal_code",
    "country_code",
    "address_purpose",
];

/// What is asked of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Of a table's name: `state=MD&city=BALTIMORE`.
    pub(super) fn parse(table: &str) -> Result<Query, Problem> {
        let refused = |what: String| {
            let hint = format!("write what is asked as field=value&field=value; fields are {}", FIELDS.join(", "));
            Problem::new(Class::Config, table, what).hint(hint)
        };
        let mut asked: Vec<(String, String)> = Vec::new();
        for pair in table.split('&') {
            let Some((field, value)) = pair.split_once('=') else {
                return Err(refused("there is no such table: it is no question to the registry".to_owned()));
            };
            if !FIELDS.contains(&field) {
                return Err(refused("there is no such table: a field of it is none that can be asked for".to_owned()));
            }
            if value.trim().is_empty() || value.contains(char::is_control) {
                return Err(refused(format!("nothing is asked for in `{field}`")));
            }
            if asked.iter().any(|(known, _)| known == field) {
                return Err(refused(format!("`{field}` is asked for twice")));
            }
            asked.push((field.to_owned(), value.to_owned()));
        }
        Ok(Query(asked))
    }

    pub(super) fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    fn get(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == field).map(|(_, value)| value.as_str())
    }

    fn with(&self, field: &str, value: String) -> Query {
        let rest = self.0.iter().filter(|(known, _)| known != field).cloned();
        Query(rest.chain([(field.to_owned(), value)]).collect())
    }

    /// Questions that together find all that this one does; none where it cannot be cut any more. By the kind of provider first,
    /// which each has one of; then by postal code, which every address in the United States has.
    pub(super) fn cut(&self) -> Option<Vec<Query>> {
        if self.get("enumeration_type").is_none() {
            return Some(["NPI-1", "NPI-2"].map(|kind| self.with("enumeration_type", kind.to_owned())).to_vec());
        }
        if self.get("country_code") != Some("US") {
            return None;
        }
        let stem = match self.get("postal_code") {
            None => "",
            Some(code) => code.strip_suffix('*').filter(|stem| stem.len() < 5)?,
        };
        // Two digits at least.
        let tails = if stem.is_empty() { 0..100 } else { 0..10 };
        let width = if stem.is_empty() { 2 } else { 1 };
        Some(tails.map(|tail| self.with("postal_code", format!("{stem}{tail:0width$}*"))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_cut_until_five_digits_are_asked_for() {
        let query = Query::parse("city=BALTIMORE&country_code=US").unwrap();
        let kinds = query.cut().unwrap();
        assert_eq!(kinds.len(), 2);
        let mut one = kinds[0].clone();
        for (many, last) in [(100, "99*"), (10, "999*"), (10, "9999*"), (10, "99999*")] {
            let cut = one.cut().unwrap();
            assert_eq!(cut.len(), many);
            one = cut[many - 1].clone();
            assert_eq!(one.get("postal_code"), Some(last));
        }
        assert_eq!(one.cut(), None);
        assert_eq!(
            Query::parse("state=MD&enumeration_type=NPI-1").unwrap().cut(),
            None,
            "abroad there are other codes"
        );
        let zip = Query::parse("postal_code=21201&enumeration_type=NPI-1&country_code=US").unwrap();
        assert_eq!(zip.cut(), None);
    }

    #[test]
    fn what_is_no_question_is_refused() {
        for table in ["", "providers", "limit=7", "state=", "state=MD&state=NY", "city=a\0b", "version=1.0", "skip=9"] {
            let problem = Query::parse(table).unwrap_err();
            assert_eq!((problem.class, problem.hint.is_some()), (Class::Config, true), "{table}");
        }
    }
}
