//! Which columns a text has, which of them are read, and as what.

use super::Cut;
use super::cells::Kind;
use super::decode::unquoted;
use super::scan::Layout;
use super::times::format_fault;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use rcm_core::{Class, Problem};
use std::sync::Arc;

/// The metadata key of a date's or time's field that holds its format (`chrono::format::strftime`), where it is not ISO 8601.
pub const DATE_FORMAT: &str = "date_format";

/// A column that is read.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// Its place in the text.
    pub(super) place: usize,
    pub(super) kind: Kind,
    pub(super) field: Arc<Field>,
}

#[derive(Debug, Clone)]
pub(super) struct Columns {
    pub(super) read: Vec<Column>,
    /// Columns of the text.
    pub(super) width: usize,
    schema: SchemaRef,
}

impl Default for Columns {
    fn default() -> Self {
        Columns { read: Vec::new(), width: 0, schema: Arc::new(Schema::empty()) }
    }
}

impl Columns {
    fn of(read: Vec<Column>, width: usize) -> Columns {
        let fields: Vec<Arc<Field>> = read.iter().map(|column| column.field.clone()).collect();
        Columns { read, width, schema: Arc::new(Schema::new(fields)) }
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Those that the first record of a text names. No name is repeated in a message before it is known to be one: a file
    /// without a header has a patient there.
    pub(super) fn of_header(text: &[u8], layout: &Layout, cut: &Cut, place: &str) -> Result<Columns, Problem> {
        let header = &layout.records[0];
        let drift = |what: String| {
            Err(Problem::new(Class::Drift, place, what).hint("expected a header line of column names in UTF-8"))
        };
        if let Some(fault) = header.fault {
            return drift(format!("the header: {}", fault.what()));
        }
        let mut names: Vec<String> = Vec::new();
        for n in 0..header.fields as usize {
            let mut name = Vec::new();
            unquoted(layout.cell(text, header, n), cut, &mut name);
            let name = String::from_utf8(name).unwrap_or_default().trim().to_owned();
            if name.is_empty() {
                return drift(format!("column {} of the header has no readable name", n + 1));
            }
            if let Some(first) = names.iter().position(|before| *before == name) {
                return drift(format!("columns {} and {} of the header have the same name", first + 1, n + 1));
            }
            names.push(name);
        }
        let width = names.len();
        let field = |name| Arc::new(Field::new(name, DataType::Utf8, true));
        let column = |(place, name)| Column { place, kind: Kind::Raw, field: field(name) };
        Ok(Columns::of(names.into_iter().enumerate().map(column).collect(), width))
    }

    pub(super) fn typed(&self, schema: &Schema, place: &str) -> Result<Columns, Problem> {
        for field in schema.fields() {
            self.find(field.name(), place)?;
        }
        let typed = |column: &Column| {
            let field = match schema.field_with_name(column.field.name()) {
                Ok(field) => Arc::new(field.clone()),
                Err(_) => column.field.clone(),
            };
            let of_times = match field.data_type() {
                DataType::Timestamp(_, zone) => Some(zone.is_some()),
                DataType::Date32 => Some(false),
                _ => None,
            };
            if let (Some(is_zoned), Some(format)) = (of_times, field.metadata().get(DATE_FORMAT))
                && let Some(fault) = format_fault(format, is_zoned)
            {
                let what = format!("column `{}`: `{format}` {fault}", field.name());
                return Err(Problem::new(Class::Config, place, what).hint("write it like %Y-%m-%d or %m/%d/%Y %H:%M"));
            }
            match Kind::of(&field) {
                Some(kind) => Ok(Column { place: column.place, kind, field }),
                None => {
                    let what = format!("column `{}`: CSV is not read as {}", field.name(), field.data_type());
                    let hint =
                        "read it as Utf8, Boolean, a whole or floating-point number, Decimal128, Date32 or Timestamp";
                    Err(Problem::new(Class::Config, place, what).hint(hint))
                }
            }
        };
        Ok(Columns::of(self.read.iter().map(typed).collect::<Result<_, _>>()?, self.width))
    }

    pub(super) fn project(&self, names: &[&str], place: &str) -> Result<Columns, Problem> {
        let read = names.iter().map(|name| self.find(name, place).cloned()).collect::<Result<_, _>>()?;
        Ok(Columns::of(read, self.width))
    }

    fn find(&self, name: &str, place: &str) -> Result<&Column, Problem> {
        // Its names are not repeated: what stands there may be no header.
        let none = || {
            Problem::new(Class::Drift, place, format!("there is no column `{name}`"))
                .hint(format!("the first line has {} columns, none of that name", self.width))
        };
        self.read.iter().find(|column| column.field.name() == name).ok_or_else(none)
    }
}
