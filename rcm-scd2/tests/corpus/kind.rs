//! The types of a case's columns, and one text for all cells that are equal.

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    /// Bytes.
    Int(u8),
    Float,
    Decimal(u8, i8),
    Date,
    Time,
    Text,
}

impl Kind {
    pub(crate) fn of_sql(sql: &str) -> Result<Kind, String> {
        let upper = sql.to_uppercase();
        let (name, arguments) = upper.split_once('(').unwrap_or((upper.as_str(), ""));
        Ok(match name.trim() {
            "BOOLEAN" | "BOOL" => Kind::Bool,
            "TINYINT" => Kind::Int(1),
            "SMALLINT" => Kind::Int(2),
            "INTEGER" | "INT" => Kind::Int(4),
            "BIGINT" | "LONG" => Kind::Int(8),
            "DOUBLE" | "DOUBLE PRECISION" | "FLOAT" | "REAL" => Kind::Float,
            "DECIMAL" | "NUMERIC" => {
                let mut digits = arguments.trim_end_matches(')').split(',').map(str::trim);
                let precision = digits.next().and_then(|digits| digits.parse().ok());
                let scale = digits.next().map_or(Some(0), |digits| digits.parse().ok());
                let unknown = || format!("unknown type {sql}");
                Kind::Decimal(precision.ok_or_else(unknown)?, scale.ok_or_else(unknown)?)
            }
            "DATE" => Kind::Date,
            name if name.starts_with("TIMESTAMP") || name == "DATETIME" => Kind::Time,
            "VARCHAR" | "TEXT" | "STRING" | "CHAR" => Kind::Text,
            _ => return Err(format!("unknown type {sql}")),
        })
    }

    /// The narrowest kind that holds all values that are not null.
    pub(crate) fn of_values<'a>(values: impl Iterator<Item = &'a Value>) -> Result<Kind, String> {
        let values: Vec<&Value> = values.filter(|value| !value.is_null()).collect();
        let all = |test: &dyn Fn(&Value) -> bool| values.iter().all(|value| test(value));
        let number = |value: &Value| value.is_number() || value == "NaN";
        match () {
            () if all(&Value::is_boolean) => Ok(Kind::Bool),
            () if all(&Value::is_i64) => Ok(Kind::Int(8)),
            () if all(&number) && values.iter().any(|value| value.is_number()) => Ok(Kind::Float),
            () if all(&|value| value.as_str().is_some_and(|text| text.ends_with('Z') && instant(text).is_some())) => {
                Ok(Kind::Time)
            }
            () if all(&Value::is_string) => Ok(Kind::Text),
            () => Err(format!("values of no common type: {values:?}")),
        }
    }

    /// A text that two cells share exactly when they are equal: numbers by value, NaN one value, instants in UTC.
    pub(crate) fn canonical(self, value: &Value) -> Result<Option<String>, String> {
        let text = value.as_str();
        let canonical = match self {
            _ if value.is_null() => return Ok(None),
            Kind::Bool => value.as_bool().map(|flag| flag.to_string()),
            Kind::Int(_) | Kind::Float | Kind::Decimal(..) => match value.as_i64() {
                Some(number) => Some(number.to_string()),
                None => value.as_f64().or_else(|| text.and_then(|text| text.parse().ok())).map(Kind::number),
            },
            Kind::Date => text.and_then(date).map(|date| date.to_string()),
            Kind::Time => text.and_then(instant).map(|micros| micros.to_string()),
            Kind::Text => text.map(str::to_owned),
        };
        canonical.map(Some).ok_or_else(|| format!("{value} is no {self:?}"))
    }

    /// The canonical text of a number; whole numbers look as integers do.
    pub(crate) fn number(value: f64) -> String {
        if value == 0.0 { "0".to_owned() } else { value.to_string() }
    }
}

/// Microseconds since the epoch.
pub(super) fn instant(text: &str) -> Option<i64> {
    let zoned = DateTime::parse_from_rfc3339(text).map(|at| at.timestamp_micros());
    let formats = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"];
    let naive = || formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let midnight = || date(text).and_then(|date| date.and_hms_opt(0, 0, 0));
    zoned.ok().or_else(|| naive().or_else(midnight).map(|at| at.and_utc().timestamp_micros()))
}

fn date(text: &str) -> Option<NaiveDate> {
    text.parse().ok()
}

#[test]
fn an_instant_is_read_with_and_without_a_zone() {
    assert_eq!(instant("1970-01-01T00:00:01Z"), Some(1_000_000));
    assert_eq!(instant("1970-01-01 00:00:01"), Some(1_000_000));
    assert_eq!(instant("1970-01-02"), Some(86_400_000_000));
    assert_eq!(instant("soon"), None);
}
