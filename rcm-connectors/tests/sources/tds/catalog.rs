//! What tables there are, with the types that T-SQL declared.

use super::storage::{VIEWS, measures};
use super::token::{Column, Message};
use super::types::Type;
use std::sync::Arc;
use tokio_postgres::{Client, SimpleQueryMessage};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    pub schema: String,
    pub name: String,
    pub object_id: i32,
    pub columns: Vec<Column>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Catalog {
    pub database: String,
    /// How many rows the last statement had.
    pub row_count: u64,
    tables: Vec<Arc<Table>>,
}

impl Catalog {
    pub(crate) async fn load(client: &Client, database: &str) -> Result<Catalog, tokio_postgres::Error> {
        let mut tables: Vec<Table> = VIEWS.iter().map(|(schema, name, columns)| view(schema, name, columns)).collect();
        let sql = "SELECT o.schema_name, o.name, o.object_id, c.name, c.type, c.nullable FROM tds.objects AS o \
                   JOIN tds.columns AS c ON c.schema_name = o.schema_name AND c.table_name = o.name \
                   ORDER BY o.object_id, c.column_id";
        for message in client.simple_query(sql).await? {
            let SimpleQueryMessage::Row(row) = message else { continue };
            let text = |n: usize| row.get(n).unwrap().to_owned();
            let object_id = text(2).parse().unwrap();
            if tables.last().is_none_or(|table| table.object_id != object_id) {
                tables.push(Table { schema: text(0), name: text(1), object_id, columns: Vec::new() });
            }
            let column = Column { name: text(3), of: Type::parse(&text(4)).unwrap(), nullable: text(5) == "t" };
            tables.last_mut().unwrap().columns.push(column);
        }
        Ok(Catalog { database: database.to_owned(), row_count: 0, tables: tables.into_iter().map(Arc::new).collect() })
    }

    pub(crate) fn with(self, row_count: u64) -> Catalog {
        Catalog { row_count, ..self }
    }

    /// A table by its name's parts, without regard to case.
    pub(crate) fn table(&self, parts: &[String]) -> Result<Arc<Table>, Message> {
        let missing = || Message::error(208, 16, format!("Invalid object name '{}'.", parts.join(".")));
        let (database, schema, name) = match parts {
            [name] => (None, "dbo", name),
            [schema, name] => (None, schema.as_str(), name),
            [database, schema, name] if schema.is_empty() => (Some(database), "dbo", name),
            [database, schema, name] => (Some(database), schema.as_str(), name),
            _ => return Err(missing()),
        };
        if database.is_some_and(|database| !same(database, &self.database)) {
            return Err(missing());
        }
        let found = self.tables.iter().find(|table| same(&table.schema, schema) && same(&table.name, name));
        found.cloned().ok_or_else(missing)
    }
}

pub(crate) fn same(left: &str, right: &str) -> bool {
    left.to_lowercase() == right.to_lowercase()
}

pub(crate) fn view(schema: &str, name: &str, columns: &str) -> Table {
    let column = |text: &str| {
        let (name, of) = text.trim().split_once(' ').unwrap();
        Column { name: name.to_owned(), of: Type::parse(of).unwrap(), nullable: true }
    };
    let columns = columns.split(", ").map(column).collect();
    Table { schema: schema.to_owned(), name: name.to_owned(), object_id: 0, columns }
}

/// A text in PostgreSQL.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A name in PostgreSQL.
pub(crate) fn name(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// What records a column.
pub(crate) fn record(table: &Table, n: usize, column: &Column, is_identity: bool) -> String {
    let (length, precision, scale) = measures(&column.of);
    format!(
        "INSERT INTO tds.columns VALUES ({}, {}, {}, {}, {}, {}, {length}, {precision}, {scale}, {}, {is_identity});",
        quoted(&table.schema),
        quoted(&table.name),
        quoted(&column.name),
        n + 1,
        quoted(&column.of.declared()),
        quoted(column.of.name()),
        column.nullable
    )
}
