//! What the server's catalog says of a table, and what becomes of its columns.

use super::session::Session;
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType, Field, Schema, SchemaRef, TimeUnit,
};
use rcm_core::{Class, CursorKind, Described, Problem};
use std::sync::Arc;

/// Rows of a table that are worth a connection of their own, in pages.
const PAGES: u64 = 4096;

/// A table, view or whatever else can be selected from.
pub(super) struct Table {
    /// With its schema, as it stands in a statement.
    pub(super) quoted: String,
    pub(super) columns: Vec<Column>,
    key: Vec<String>,
    /// Columns that an index begins with.
    indexed: Vec<String>,
    /// Pages that a range of row addresses can cut; none of a view or a partitioned table.
    pages: Option<u64>,
    /// It lies on another server, of which no snapshot is known.
    pub(super) is_foreign: bool,
}

pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
    is_nullable: bool,
}

/// How a column comes over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    /// Precision and scale, as Arrow has them.
    Decimal(u8, i8),
    /// A number without bounds, or with more digits than Arrow's decimals.
    Digits,
    Date,
    Time,
    Timestamp {
        zoned: bool,
    },
    Bytes,
    Uuid,
    Jsonb,
    /// Text as it is.
    Text,
    /// Its text is asked for.
    AsText,
    /// As a decimal is asked for.
    Money,
}

impl Kind {
    /// By the name of a type of `pg_catalog`.
    fn of(name: &str, modifier: i32) -> Kind {
        match name {
            "bool" => Kind::Bool,
            "int2" => Kind::Int2,
            "int4" => Kind::Int4,
            "int8" => Kind::Int8,
            "float4" => Kind::Float4,
            "float8" => Kind::Float8,
            "numeric" => Kind::numeric(modifier),
            "money" => Kind::Money,
            "date" => Kind::Date,
            "time" => Kind::Time,
            "timestamp" => Kind::Timestamp { zoned: false },
            "timestamptz" => Kind::Timestamp { zoned: true },
            "bytea" => Kind::Bytes,
            "uuid" => Kind::Uuid,
            "jsonb" => Kind::Jsonb,
            "text" | "varchar" | "bpchar" | "name" | "json" | "xml" => Kind::Text,
            _ => Kind::AsText,
        }
    }

    /// A modifier holds precision and scale, the scale in eleven bits with a sign (`numeric.c`, since PostgreSQL 15).
    fn numeric(modifier: i32) -> Kind {
        if modifier < 4 {
            return Kind::Digits;
        }
        let (precision, scale) = (((modifier - 4) >> 16) & 0xffff, (((modifier - 4) & 0x7ff) ^ 1024) - 1024);
        // 12300 of numeric(3, -2) has five digits; 0.00123 of numeric(3, 5) has as many behind the point.
        let precision = if scale < 0 { precision - scale } else { precision.max(scale) };
        match (u8::try_from(precision), i8::try_from(scale.max(0))) {
            (Ok(precision), Ok(scale)) if precision <= DECIMAL256_MAX_PRECISION => Kind::Decimal(precision, scale),
            _ => Kind::Digits,
        }
    }

    fn data_type(self) -> DataType {
        match self {
            Kind::Bool => DataType::Boolean,
            Kind::Int2 => DataType::Int16,
            Kind::Int4 => DataType::Int32,
            Kind::Int8 => DataType::Int64,
            Kind::Float4 => DataType::Float32,
            Kind::Float8 => DataType::Float64,
            Kind::Decimal(precision, scale) if precision <= DECIMAL128_MAX_PRECISION => {
                DataType::Decimal128(precision, scale)
            }
            Kind::Decimal(precision, scale) => DataType::Decimal256(precision, scale),
            Kind::Money => DataType::Decimal128(21, 4),
            Kind::Date => DataType::Date32,
            Kind::Time => DataType::Time64(TimeUnit::Microsecond),
            Kind::Timestamp { zoned } => DataType::Timestamp(TimeUnit::Microsecond, zoned.then(|| "UTC".into())),
            Kind::Bytes => DataType::Binary,
            Kind::Digits | Kind::Uuid | Kind::Jsonb | Kind::Text | Kind::AsText => DataType::Utf8,
        }
    }

    fn cursor(self) -> Option<CursorKind> {
        CursorKind::of(&self.data_type())
    }

    /// Whether the type has values that Arrow has none for.
    pub(super) fn may_be_unheld(self) -> bool {
        matches!(self, Kind::Decimal(..) | Kind::Date | Kind::Time | Kind::Timestamp { .. })
    }
}

/// An identifier, whatever is in it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Session {
    /// Looks a table up: `schema.table`, or a table on the search path; in the catalog's own spelling.
    pub(super) async fn table(&self, name: &str) -> Result<Table, Problem> {
        if name.contains('\0') {
            return Err(self.no_table("a name holds no zero bytes"));
        }
        let (schema, bare) = name.split_once('.').map_or((None, name), |(schema, bare)| (Some(schema), bare));
        let lookup = "SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text, \
            pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::int8 \
            FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
            WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relname = $2::text \
            AND ($1::text IS NULL AND pg_catalog.pg_table_is_visible(c.oid) OR n.nspname = $1::text)";
        let found = self.rows(lookup, &[&schema, &bare]).await?;
        let Some(found) = found.first() else {
            return Err(self.no_table("names are compared letter by letter: is it written as in the catalog?"));
        };
        let bad = |e: tokio_postgres::Error| super::session::problem(&self.place, &e);
        let (oid, kind): (u32, String) = (found.try_get(0).map_err(bad)?, found.try_get(3).map_err(bad)?);
        let names: [String; 2] = [found.try_get(1).map_err(bad)?, found.try_get(2).map_err(bad)?];
        let pages: Option<i64> = found.try_get(4).map_err(bad)?;
        let pages = pages.filter(|_| ["r", "m"].contains(&kind.as_str())).map(i64::unsigned_abs);

        // A domain's own modifier counts, or that of the column where it has none.
        let columns = "WITH RECURSIVE resolved AS ( \
            SELECT a.attnum, a.attname::text AS name, a.attnotnull AND c.relkind IN ('r', 'p', 'm') AS held, a.atttypid AS type, a.atttypmod AS modifier \
            FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped \
            UNION ALL SELECT r.attnum, r.name, r.held, t.typbasetype, \
            CASE WHEN t.typtypmod >= 0 THEN t.typtypmod ELSE r.modifier END \
            FROM resolved r JOIN pg_catalog.pg_type t ON t.oid = r.type WHERE t.typtype = 'd') \
            SELECT r.name, r.held, CASE WHEN t.typtype = 'e' THEN 'text' WHEN n.nspname = 'pg_catalog' \
            THEN t.typname::text ELSE '' END, r.modifier FROM resolved r JOIN pg_catalog.pg_type t ON t.oid = r.type \
            JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE t.typtype <> 'd' ORDER BY r.attnum";
        let mut read = Vec::new();
        for row in self.rows(columns, &[&oid]).await? {
            let (name, is_held): (String, bool) = (row.try_get(0).map_err(bad)?, row.try_get(1).map_err(bad)?);
            let (type_name, modifier): (String, i32) = (row.try_get(2).map_err(bad)?, row.try_get(3).map_err(bad)?);
            let kind = Kind::of(&type_name, modifier);
            read.push(Column { name, is_nullable: !is_held || kind.may_be_unheld(), kind });
        }
        let indexes = "SELECT a.attname::text, i.indisprimary, k.place FROM pg_catalog.pg_index i \
            CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place) \
            JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
            WHERE i.indrelid = $1 AND i.indisvalid AND i.indpred IS NULL AND k.place <= i.indnkeyatts ORDER BY k.place";
        let (mut key, mut indexed) = (Vec::new(), Vec::new());
        for row in self.rows(indexes, &[&oid]).await? {
            let name: String = row.try_get(0).map_err(bad)?;
            if row.try_get(2).map_err(bad).is_ok_and(|place: i64| place == 1) {
                indexed.push(name.clone());
            }
            if row.try_get(1).map_err(bad)? {
                key.push(name);
            }
        }
        let quoted = names.map(|name| quoted(&name)).join(".");
        Ok(Table { quoted, columns: read, key, indexed, pages, is_foreign: kind == "f" })
    }

    fn no_table(&self, hint: &str) -> Problem {
        Problem::new(Class::Config, &self.place, "there is no such table").hint(hint)
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
    pub(super) fn with_columns(mut self, names: &[String]) -> Result<Table, Problem> {
        if names.is_empty() {
            return Ok(self);
        }
        let mut columns = Vec::new();
        for name in names {
            let at = self.columns.iter().position(|column| column.name == *name);
            columns.push(self.columns.remove(at.ok_or_else(|| self.no_column(name))?));
        }
        self.columns = columns;
        Ok(self)
    }

    pub(super) fn cursor(&self, name: &str) -> Result<CursorKind, Problem> {
        let column = self.columns.iter().find(|column| column.name == name).ok_or_else(|| self.no_column(name))?;
        column.kind.cursor().ok_or_else(|| {
            Problem::new(Class::Config, &self.quoted, format!("column `{name}` cannot tell what is new"))
                .hint("a watermark is a date, a timestamp or an integer")
        })
    }

    pub(super) fn has_index(&self, column: &str) -> bool {
        self.indexed.iter().any(|indexed| indexed == column)
    }

    fn no_column(&self, name: &str) -> Problem {
        Problem::new(Class::Drift, &self.quoted, format!("there is no column `{name}`"))
            .hint("correct the mapping, or give the column back")
    }

    /// The select list.
    pub(super) fn list(&self) -> String {
        let one = |column: &Column| match column.kind {
            Kind::AsText => format!("{}::text", quoted(&column.name)),
            Kind::Money => format!("{}::numeric(21, 4)", quoted(&column.name)),
            _ => quoted(&column.name),
        };
        self.columns.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// Into how many parts it is cut.
    pub(super) fn parts(&self, connections: usize) -> u64 {
        self.pages.map_or(1, |pages| (pages / PAGES).clamp(1, connections.max(1) as u64))
    }

    /// The condition for a part: pages from one to another. The last has no end: the table may have grown since.
    pub(super) fn pages_of(&self, part: u64, parts: u64) -> String {
        let page = |part: u64| self.pages.unwrap_or_default() * part / parts;
        match (part > 0, part + 1 < parts) {
            (false, false) => String::new(),
            (false, true) => format!(" WHERE ctid < '({},0)'::tid", page(part + 1)),
            (true, true) => {
                format!(" WHERE ctid >= '({},0)'::tid AND ctid < '({},0)'::tid", page(part), page(part + 1))
            }
            (true, false) => format!(" WHERE ctid >= '({},0)'::tid", page(part)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_modifier_becomes_a_decimal_that_holds_all_its_values() {
        let modifier = |precision: i32, scale: i32| ((precision << 16) | (scale & 0x7ff)) + 4;
        for (precision, scale, kind) in [
            (18, 2, Kind::Decimal(18, 2)),
            (3, -2, Kind::Decimal(5, 0)),
            (3, 5, Kind::Decimal(5, 5)),
            (76, 76, Kind::Decimal(76, 76)),
            (77, 0, Kind::Digits),
            (1000, 1000, Kind::Digits),
        ] {
            assert_eq!(Kind::numeric(modifier(precision, scale)), kind, "numeric({precision}, {scale})");
        }
        assert_eq!(Kind::numeric(-1), Kind::Digits);
    }

    #[test]
    fn an_identifier_stays_one() {
        assert_eq!(quoted("a\"; DROP TABLE b; --"), "\"a\"\"; DROP TABLE b; --\"");
    }
}
