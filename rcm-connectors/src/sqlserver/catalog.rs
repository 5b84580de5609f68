//! What the server's catalog says of a table, and what becomes of its columns.

use super::Options;
use super::session::Session;
use super::statements::{self, quoted};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use rcm_core::{Class, CursorKind, Described, Problem};
use std::sync::Arc;

/// Numbers of a key that are worth a connection of their own.
const KEYS: i128 = 100_000;

/// A table or view.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// With its schema, as it stands in a statement.
    pub(super) quoted: String,
    pub(super) columns: Vec<Column>,
    key: Vec<String>,
    /// Columns that an index begins with.
    indexed: Vec<String>,
    pub(super) is_of: Lies,
}

/// Where the rows of a table lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lies {
    Here,
    /// In memory: every statement shows one instant, and SNAPSHOT is refused.
    InMemory,
    /// What a view shows may be read without locks, or from elsewhere; so is an external table.
    Anywhere,
}

#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// What is selected for it.
    item: String,
    is_nullable: bool,
}

/// What a column holds, and how it comes over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bit,
    TinyInt,
    SmallInt,
    Int,
    BigInt,
    Real,
    Float,
    Decimal(u8, i8),
    Date,
    /// Digits behind the second.
    Time(u8),
    DateTime,
    SmallDateTime,
    DateTime2(u8),
    DateTimeOffset(u8),
    /// Minutes by which the wall clock of a `datetimeoffset` is ahead of UTC.
    Offset,
    Guid,
    Text,
    Xml,
    Bytes,
    RowVersion,
}

/// Windows' number for Windows-1252.
const WINDOWS_1252: i32 = 1252;

impl Kind {
    /// By the numbers of `sys.types`, which are the same in all versions; none of what is not read.
    fn of(system: i32, user: i32, precision: u8, scale: u8) -> Option<Kind> {
        let decimal = || Kind::Decimal(precision.clamp(1, 38), scale.min(38) as i8);
        Some(match system {
            // A vector has the number of varbinary.
            165 if user == 255 => return None,
            34 | 165 | 173 => Kind::Bytes,
            35 | 99 | 167 | 175 | 231 | 239 => Kind::Text,
            36 => Kind::Guid,
            40 => Kind::Date,
            41 => Kind::Time(scale),
            42 => Kind::DateTime2(scale),
            43 => Kind::DateTimeOffset(scale),
            48 => Kind::TinyInt,
            52 => Kind::SmallInt,
            56 => Kind::Int,
            58 => Kind::SmallDateTime,
            59 => Kind::Real,
            // As decimals: the driver has them as floats.
            60 => Kind::Decimal(19, 4),
            122 => Kind::Decimal(10, 4),
            61 => Kind::DateTime,
            62 => Kind::Float,
            104 => Kind::Bit,
            106 | 108 => decimal(),
            127 => Kind::BigInt,
            189 => Kind::RowVersion,
            // hierarchyid, geometry, geography.
            240 if (128..=130).contains(&user) => Kind::Bytes,
            241 => Kind::Xml,
            _ => return None,
        })
    }

    fn data_type(self) -> DataType {
        match self {
            Kind::Bit => DataType::Boolean,
            // Delta knows no unsigned numbers.
            Kind::TinyInt | Kind::SmallInt | Kind::Offset => DataType::Int16,
            Kind::Int => DataType::Int32,
            Kind::BigInt => DataType::Int64,
            Kind::Real => DataType::Float32,
            Kind::Float => DataType::Float64,
            Kind::Decimal(precision, scale) => DataType::Decimal128(precision, scale),
            Kind::Date => DataType::Date32,
            Kind::Time(7) => DataType::Time64(TimeUnit::Nanosecond),
            Kind::Time(_) => DataType::Time64(TimeUnit::Microsecond),
            Kind::DateTime | Kind::SmallDateTime | Kind::DateTime2(_) => {
                DataType::Timestamp(TimeUnit::Microsecond, None)
            }
            Kind::DateTimeOffset(_) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Kind::Guid | Kind::Text | Kind::Xml => DataType::Utf8,
            Kind::Bytes => DataType::Binary,
            Kind::RowVersion => DataType::UInt64,
        }
    }

    pub(super) fn cursor(self) -> Option<CursorKind> {
        match self {
            Kind::Offset => None,
            kind => CursorKind::of(&kind.data_type()),
        }
    }
}

impl Session {
    /// Looks a table up: `schema.table`, or a table of the user's own schema; in the catalog's own spelling.
    pub(super) async fn table(&mut self, name: &str, options: &Options) -> Result<Table, Problem> {
        let no_table = |hint: &str| Problem::new(Class::Config, name, "there is no such table").hint(hint);
        if name.contains('\0') {
            return Err(no_table("a name holds no zero bytes"));
        }
        let (schema, bare) = name.split_once('.').map_or((None, name), |(schema, bare)| (Some(schema), bare));
        let found = self.rows(statements::TABLE, &[&schema, &bare]).await?;
        let Some(found) = found.first() else {
            return Err(no_table("write schema.table as the catalog has it; the login must be allowed to read it"));
        };
        let object = found.number(0)?.and_then(|id| i32::try_from(id).ok()).ok_or_else(|| self.unreadable())?;
        let names = [found.text(1)?, found.text(2)?].map(|name| quoted(&name)).join(".");
        let is_of = match (found.text(3)?.trim(), found.number(4)?, found.number(5)?) {
            ("U", Some(0), Some(1)) => Lies::InMemory,
            ("U", Some(0), _) => Lies::Here,
            _ => Lies::Anywhere,
        };
        let (columns, is_masked) = self.columns(object, is_of, options.offsets).await?;
        if columns.is_empty() {
            return Err(no_table("the login must be allowed to read it"));
        }
        if is_masked {
            let may = self.row(statements::UNMASK, &[&names.as_str()]).await?;
            if may.number(0)? != Some(1) && may.number(1)? != Some(1) {
                let what = "some of its columns are masked: what is read would not be what stands there";
                return Err(
                    Problem::new(Class::Failed, &self.place, what).hint("GRANT UNMASK to the login, or read a view")
                );
            }
        }
        // Where there is no such view there are no policies.
        let is_filtered = match self.rows(statements::POLICIES, &[&object]).await {
            Ok(rows) => !rows.is_empty(),
            Err(problem) if problem.class != Class::Temporary => false,
            Err(problem) => return Err(problem),
        };
        if is_filtered && !options.filtered {
            let what = "row-level security filters it: rows that it hides would count as gone";
            return Err(Problem::new(Class::Failed, &self.place, what).hint(
                "read it by a login that the policy shows all rows, and say so: `filtered = true` in the source",
            ));
        }
        let (mut key, mut indexed) = (Vec::new(), Vec::new());
        for row in self.rows(statements::INDEXES, &[&object]).await? {
            let name = row.text(0)?;
            if row.number(2)? == Some(1) {
                indexed.push(name.clone());
            }
            if row.number(1)? == Some(1) {
                key.push(name);
            }
        }
        Ok(Table { quoted: names, columns, key, indexed, is_of })
    }

    /// The columns of an object, and whether some are masked. With `offsets` every `datetimeoffset` has a column of its minutes
    /// beside it.
    async fn columns(&mut self, object: i32, is_of: Lies, offsets: bool) -> Result<(Vec<Column>, bool), Problem> {
        let (mut columns, mut is_masked) = (Vec::<Column>::new(), false);
        for row in self.rows(statements::COLUMNS, &[&object]).await? {
            let (name, type_name) = (row.text(0)?, row.text(1)?);
            let refused = |what: &str, hint: &str| {
                Problem::new(Class::Config, &self.place, format!("column `{name}` {what}")).hint(hint)
            };
            let number = |at| Ok::<_, Problem>(row.number(at)?.unwrap_or_default() as i32);
            let (system, user, code_page) = (number(2)?, number(3)?, number(7)?);
            if row.number(9)?.is_some() {
                return Err(refused("is encrypted by keys that only clients have", "read a view that leaves it out"));
            }
            is_masked |= number(8)? != 0;
            let kind = Kind::of(system, user, number(4)? as u8, number(5)? as u8).ok_or_else(|| {
                refused(
                    &format!("is of a type that is not read: {type_name}"),
                    "read a view that casts it, or leaves it out",
                )
            })?;
            let column = quoted(&name);
            let item = match system {
                60 => format!("CAST({column} AS decimal(19, 4)) AS {column}"),
                122 => format!("CAST({column} AS decimal(10, 4)) AS {column}"),
                // The server knows all code pages.
                35 | 167 | 175 if code_page != WINDOWS_1252 => format!("CAST({column} AS nvarchar(max)) AS {column}"),
                _ => column.clone(),
            };
            // What the catalog says of a view is as old as the view.
            let is_nullable = number(6)? != 0 || is_of == Lies::Anywhere;
            columns.push(Column { name: name.clone(), kind, item, is_nullable });
            if offsets && matches!(kind, Kind::DateTimeOffset(_)) {
                let name = format!("{name}_offset");
                let item = format!("DATEPART(TZoffset, {column}) AS {}", quoted(&name));
                columns.push(Column { name, kind: Kind::Offset, item, is_nullable });
            }
        }
        let is_double = |at: usize| columns[..at].iter().any(|before| before.name == columns[at].name);
        if let Some(at) = (0..columns.len()).find(|at| is_double(*at)) {
            let what = format!("has a column `{}` already, beside the one of minutes", columns[at].name);
            return Err(Problem::new(Class::Config, &self.place, what).hint("set `offsets = false` in the source"));
        }
        Ok((columns, is_masked))
    }
}

impl Table {
    pub(super) fn schema(&self) -> SchemaRef {
        let field = |column: &Column| Field::new(&column.name, column.kind.data_type(), column.is_nullable);
        Arc::new(Schema::new(self.columns.iter().map(field).collect::<Vec<_>>()))
    }

    pub(super) fn described(&self) -> Described {
        let cursor = |column: &Column| {
            column.kind.cursor().map(|kind| (column.name.clone(), kind, self.has_index(&column.name)))
        };
        let cursors = self.columns.iter().filter_map(cursor).collect();
        Described { schema: self.schema(), key: self.key.clone(), cursors }
    }

    /// With some of its columns, in this order; all if none are named.
    pub(super) fn with_columns(&self, names: &[String]) -> Result<Table, Problem> {
        if names.is_empty() {
            return Ok(self.clone());
        }
        let columns = names.iter().map(|name| self.column(name).cloned()).collect::<Result<_, _>>()?;
        Ok(Table { columns, ..self.clone() })
    }

    pub(super) fn column(&self, name: &str) -> Result<&Column, Problem> {
        self.columns.iter().find(|column| column.name == name).ok_or_else(|| {
            Problem::new(Class::Drift, &self.quoted, format!("there is no column `{name}`"))
                .hint("correct the mapping, or give the column back")
        })
    }

    /// What tells what is new.
    pub(super) fn cursor(&self, name: &str) -> Result<(CursorKind, Kind), Problem> {
        let column = self.column(name)?;
        let kind = column.kind.cursor().ok_or_else(|| {
            Problem::new(Class::Config, &self.quoted, format!("column `{name}` cannot tell what is new"))
                .hint("a watermark is a date, a time with its day, an integer or a rowversion")
        })?;
        Ok((kind, column.kind))
    }

    pub(super) fn has_index(&self, column: &str) -> bool {
        self.indexed.iter().any(|indexed| indexed == column)
    }

    /// The select list.
    pub(super) fn list(&self) -> String {
        self.columns.iter().map(|column| column.item.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// The column by whose numbers the table can be cut: the first of the primary key.
    pub(super) fn cut_by(&self) -> Option<String> {
        let column = self.column(self.key.first()?).ok()?;
        let is_number = matches!(column.kind, Kind::SmallInt | Kind::Int | Kind::BigInt);
        (is_number && !column.is_nullable).then(|| quoted(&column.name))
    }
}

/// The conditions for parts of about as many numbers each: from one number to another; the first has no beginning and the last
/// no end.
pub(super) fn ranges(key: &str, (low, high): (i64, i64), connections: usize) -> Vec<String> {
    let (low, span) = (i128::from(low), i128::from(high) - i128::from(low) + 1);
    let parts = (span / KEYS).clamp(1, connections.max(1) as i128);
    let at = |part: i128| low + span * part / parts;
    let within = |part: i128| {
        let from = (part > 0).then(|| format!("{key} >= {}", at(part)));
        let to = (part + 1 < parts).then(|| format!("{key} < {}", at(part + 1)));
        [from, to].into_iter().flatten().collect::<Vec<_>>().join(" AND ")
    };
    (0..parts).map(within).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_every_number_once() {
        for (low, high, connections, expected) in [
            (1, 99_999, 8, 1),
            (1, 1_000_000, 8, 8),
            (-500_000, 500_000, 3, 3),
            (i64::MIN, i64::MAX, 4, 4),
            (7, 7, 4, 1),
            (9, 3, 4, 1),
        ] {
            let ranges = ranges("k", (low, high), connections);
            assert_eq!(ranges.len(), expected, "{low} to {high}");
            let numbers = |sign: &str| -> Vec<i64> {
                let bound = |range: &String| {
                    let bound = range.split(" AND ").find(|bound| bound.starts_with(&format!("k {sign} ")));
                    bound.and_then(|bound| bound.rsplit(' ').next()).map(|number| number.parse().unwrap())
                };
                ranges.iter().filter_map(bound).collect()
            };
            assert_eq!(numbers(">="), numbers("<"), "one ends where the next begins");
            assert_eq!(numbers("<").len(), expected - 1);
            assert!(numbers("<").is_sorted_by(|a, b| a < b));
        }
    }

    #[test]
    fn numbers_of_types_are_types() {
        assert_eq!(Kind::of(106, 106, 38, 10), Some(Kind::Decimal(38, 10)));
        assert_eq!(Kind::of(240, 128, 0, 0), Some(Kind::Bytes));
        // Another team's type, sql_variant, json, vector.
        for (system, user) in [(240, 257), (98, 98), (244, 244), (165, 255)] {
            assert_eq!(Kind::of(system, user, 0, 0), None);
        }
    }
}
