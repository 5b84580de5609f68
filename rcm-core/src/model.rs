//! The common data model: what every hospital's tables become in silver.
//!
//! Each column carries a [`Tag`] (who may see it), a [`Role`] (what it does for history) and its own rules
//! ([`Column::required`]). Masking, gold's default columns and statistics in files follow from the tags alone.

mod tables;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
pub use tables::TABLES;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text, codes and identifiers: never a number, so that no leading zero is lost.
    Text,
    /// A calendar day.
    Date,
    /// US dollars, `Decimal128(18, 2)`, rounded half away from zero.
    Money,
}

impl Kind {
    /// The Arrow type in silver.
    pub fn data_type(self) -> DataType {
        match self {
            Kind::Text => DataType::Utf8,
            Kind::Date => DataType::Date32,
            Kind::Money => DataType::Decimal128(18, 2),
        }
    }
}

/// Who may see a column (45 CFR 164.514 for the `phi` tags).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// Identifies a patient by itself (`phi:direct`).
    PhiDirect,
    /// Helps to identify a patient together with others (`phi:quasi`).
    PhiQuasi,
    /// An amount or a payer (`financial`).
    Financial,
    /// Text that a licence covers, such as CPT descriptors (`licensed`).
    Licensed,
    /// Nothing of these (`none`).
    None,
}

/// What a column does for history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The source's key; with the hospital it is the business key.
    Key,
    /// Names a row of another table.
    Reference,
    /// A change of it opens a new version.
    Attribute,
    /// The source's modified date: valid time of incremental tables, never compared.
    Watermark,
    /// The source's insert date, never compared.
    Inserted,
}

/// A column of the common model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Snake case, the same in every table that has it.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Who may see it.
    pub tag: Tag,
    /// What it does for history.
    pub role: Role,
    /// The rule that a missing value fails (`G2` key or watermark, `P1` patient, `N1` a name without which a code says
    /// nothing); `None` where a value may be missing.
    pub required: Option<&'static str>,
}

impl Column {
    /// Whether gold may read it by default: all that does not name a patient, and the columns that carry joins, without
    /// which no fact would meet its patient.
    ///
    /// ```
    /// use rcm_core::model::table;
    /// let names: Vec<_> = table("patients").unwrap().columns.iter().filter(|c| c.in_gold()).map(|c| c.name).collect();
    /// assert_eq!(names, ["patient_id", "gender", "date_of_birth", "modified_date"]);
    /// ```
    pub fn in_gold(&self) -> bool {
        self.tag != Tag::PhiDirect || matches!(self.role, Role::Key | Role::Reference)
    }

    /// Whether a change of it opens a new version.
    pub fn is_tracked(&self) -> bool {
        matches!(self.role, Role::Reference | Role::Attribute)
    }
}

/// A table of the common model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// Its folder under `silver/`.
    pub name: &'static str,
    /// Whether rows belong to a hospital; a table without one is shared by all.
    pub by_hospital: bool,
    /// Columns in order; the hospital is not among them.
    pub columns: &'static [Column],
}

/// The column that names the hospital in every table that has one.
pub const HOSPITAL: &str = "hospital";

impl Table {
    /// The source's key column.
    pub fn key(&self) -> &'static Column {
        // Every table lists its key first; a test of this crate holds it to that.
        &self.columns[0]
    }

    /// The business key: hospital and source key, or the source key where all share the table.
    pub fn business_key(&self) -> Vec<&'static str> {
        let mut keys = Vec::with_capacity(2);
        if self.by_hospital {
            keys.push(HOSPITAL);
        }
        keys.push(self.key().name);
        keys
    }

    /// The watermark column, where the table has one.
    pub fn watermark(&self) -> Option<&'static Column> {
        self.columns.iter().find(|c| c.role == Role::Watermark)
    }

    /// A column by name.
    pub fn column(&self, name: &str) -> Option<&'static Column> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// Hospital and columns as Arrow fields, all nullable: bad rows have the same shape.
    pub fn fields(&self) -> Vec<Field> {
        let hospital = self.by_hospital.then(|| Field::new(HOSPITAL, DataType::Utf8, true));
        hospital.into_iter().chain(self.columns.iter().map(|c| Field::new(c.name, c.kind.data_type(), true))).collect()
    }

    /// The columns that open a new version when they change.
    pub fn tracked(&self) -> Vec<&'static str> {
        self.columns.iter().filter(|c| c.is_tracked()).map(|c| c.name).collect()
    }

    /// Columns that are neither key nor tracked: they follow the newest row of a version.
    pub fn untracked(&self) -> Vec<&'static str> {
        self.columns.iter().filter(|c| matches!(c.role, Role::Watermark | Role::Inserted)).map(|c| c.name).collect()
    }
}

/// A table by name.
pub fn table(name: &str) -> Option<&'static Table> {
    TABLES.iter().find(|t| t.name == name)
}

/// UTC microseconds: the type of every instant in the lake.
pub fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// In silver, of an incremental table: when the file that brought the version was first read (the `as_of` of that run).
/// Of two rows with one modified date the one that was read later counts; a file that says the same again leaves the
/// instant as it is. Null in a full table, whose rows do not compete.
pub const SOURCE_READ_AT: &str = "source_read_at";
/// In silver, beside [`SOURCE_READ_AT`]: the place of that file, from 0, among those of its line that were read at this
/// instant. It decides where the instant does not.
pub const SOURCE_PLACE: &str = "source_place";

/// The schema of a silver table: the model's columns, then what history adds. It is the same for full and incremental
/// tables, so that a change of the one to the other leaves readers their columns.
///
/// ```
/// use rcm_core::model::{silver_schema, table};
/// let schema = silver_schema(table("departments").unwrap());
/// let names: Vec<_> = schema.fields().iter().map(|f| f.name().as_str()).collect();
/// assert_eq!(names, ["hospital", "department_id", "name", "valid_from", "valid_to", "is_current", "is_quarantined",
///     "surrogate_key", "source_read_at", "source_place", "inserted_at", "modified_at", "run_id"]);
/// ```
pub fn silver_schema(table: &Table) -> Schema {
    let mut fields = table.fields();
    fields.extend([
        Field::new("valid_from", instant(), true),
        Field::new("valid_to", instant(), true),
        Field::new("is_current", DataType::Boolean, true),
        Field::new("is_quarantined", DataType::Boolean, true),
        Field::new("surrogate_key", DataType::Utf8, true),
        Field::new(SOURCE_READ_AT, instant(), true),
        Field::new(SOURCE_PLACE, DataType::Int64, true),
        Field::new("inserted_at", instant(), true),
        Field::new("modified_at", instant(), true),
        Field::new("run_id", DataType::Utf8, true),
    ]);
    Schema::new(fields)
}

/// The schema of a quarantine table: the model's columns as far as they could be read, then why, and from where.
///
/// `raw` is the line as it came where it could not be split into columns, else the landed columns as JSON.
pub fn quarantine_schema(table: &Table) -> Schema {
    let mut fields = table.fields();
    fields.extend([
        Field::new("is_quarantined", DataType::Boolean, true),
        Field::new("reasons", DataType::List(Field::new("element", DataType::Utf8, true).into()), true),
        Field::new("source", DataType::Utf8, true),
        Field::new("file", DataType::Utf8, true),
        Field::new("row", DataType::Int64, true),
        Field::new("line", DataType::Int64, true),
        Field::new("raw", DataType::Utf8, true),
        Field::new("as_of", instant(), true),
        Field::new("run_id", DataType::Utf8, true),
    ]);
    Schema::new(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_lists_its_key_first_and_only_once() {
        for t in TABLES {
            let keys: Vec<_> = t.columns.iter().filter(|c| c.role == Role::Key).collect();
            assert_eq!(keys, [t.key()], "{}", t.name);
        }
    }

    #[test]
    fn a_name_means_the_same_kind_in_every_table() {
        for (a, b) in TABLES.iter().flat_map(|a| TABLES.iter().map(move |b| (a, b))) {
            for c in a.columns {
                if let Some(d) = b.column(c.name) {
                    assert_eq!(c.kind, d.kind, "{}.{} and {}.{}", a.name, c.name, b.name, d.name);
                }
            }
        }
    }

    #[test]
    fn gold_sees_no_name_number_or_address_of_a_patient() {
        for (table, column) in [
            ("patients", "ssn"),
            ("patients", "first_name"),
            ("patients", "last_name"),
            ("patients", "middle_name"),
            ("patients", "phone_number"),
            ("patients", "address"),
            ("transactions", "medicaid_id"),
            ("transactions", "medicare_id"),
        ] {
            let column = super::table(table).and_then(|t| t.column(column)).expect("a column of the model");
            assert!(!column.in_gold(), "{table}.{}", column.name);
        }
    }
}
