//! What ends a key.

/// What the end of a key looks like.
///
/// ```
/// # use std::sync::Arc;
/// # use rcm_scd2::arrow::array::{ArrayRef, RecordBatch, StringArray};
/// # let table = |cells: &[[&str; 2]]| {
/// #     let column = |at: usize| Arc::new(cells.iter().map(|row| Some(row[at])).collect::<StringArray>()) as ArrayRef;
/// #     [RecordBatch::try_from_iter([("id", column(0)), ("city", column(1))]).unwrap()]
/// # };
/// use rcm_scd2::{Absence, IS_DELETED, Load, Spec, State, apply, merge};
///
/// let spec = Spec::snapshot(["id"]).track(["city"]).deletes(Absence::marker()).build()?;
/// let state = apply(&State::new(), &merge(&spec, &State::new(), &Load::new(&table(&[["a", "Lyon"]]), 1))?)?;
/// let gone = merge(&spec, &state, &Load::new(&[], 2))?;
/// assert_eq!((gone.closes.len(), gone.opens.num_rows()), (1, 1));
/// assert!(gone.opens.column_by_name(IS_DELETED).is_some());
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteStyle {
    /// The version gets an end.
    Close,
    /// It gets an end, and a row flagged [`IS_DELETED`](crate::IS_DELETED) with its values opens there. It is current, and
    /// not repeated.
    Marker,
}

/// A key ends when it is absent from a snapshot that is complete for it.
///
/// ```
/// use rcm_scd2::{Absence, Spec};
///
/// let spec = Spec::snapshot(["hospital", "id"]).track(["name"]);
/// let spec = spec.deletes(Absence::close().within(["hospital"]).max_ratio(0.2)).build()?;
/// assert_eq!(spec.scope(), ["hospital"]);
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Absence {
    pub(crate) style: DeleteStyle,
    pub(crate) scope: Vec<String>,
    pub(crate) ratio: Option<f64>,
}

impl Absence {
    /// An absent key's version is closed at the load's `as_of`.
    pub fn close() -> Self {
        Absence { style: DeleteStyle::Close, scope: Vec::new(), ratio: None }
    }

    /// It is closed, and a marker row opens.
    pub fn marker() -> Self {
        Absence { style: DeleteStyle::Marker, ..Absence::close() }
    }

    /// Judges absence inside each value of these key columns. Default: the whole table is one scope.
    pub fn within<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.scope.extend(columns.into_iter().map(Into::into));
        self
    }

    /// Refuses a load that would end more than this share of the live keys of a scope value. Default: no limit.
    pub fn max_ratio(mut self, ratio: f64) -> Self {
        self.ratio = Some(ratio);
        self
    }
}

/// A key ends when a row says so: a column has a value. The column itself is not stored.
///
/// ```
/// use rcm_scd2::{Spec, When};
///
/// let spec = Spec::feed(["id"], ["at"]).track(["name"]).deletes(When::new("operation", "D")).build()?;
/// assert_eq!(spec.columns().len(), 1);
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct When {
    pub(crate) column: String,
    pub(crate) value: Value,
    pub(crate) style: DeleteStyle,
    pub(crate) ratio: Option<f64>,
}

impl When {
    /// Rows whose `column` equals `value` are deletes; null is not equal.
    pub fn new(column: impl Into<String>, value: impl Into<Value>) -> Self {
        When { column: column.into(), value: value.into(), style: DeleteStyle::Close, ratio: None }
    }

    /// Opens a marker row where the version closes.
    pub fn marker(mut self) -> Self {
        self.style = DeleteStyle::Marker;
        self
    }

    /// Refuses a load that would end more than this share of the live keys. Default: no limit.
    pub fn max_ratio(mut self, ratio: f64) -> Self {
        self.ratio = Some(ratio);
        self
    }
}

/// The value that flags a delete.
///
/// ```
/// use rcm_scd2::Value;
///
/// assert_eq!([Value::from(true), Value::from(1), Value::from("D")][2], Value::Text("D".to_owned()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Of a `Boolean` column.
    Bool(bool),
    /// Of an integer column of any width.
    Int(i64),
    /// Of a text column of any encoding.
    Text(String),
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::Text(value.to_owned())
    }
}

/// What ends a key.
///
/// ```
/// use rcm_scd2::{Deletes, Mode, Spec, When};
///
/// let spec = Spec::snapshot(["id"]).deletes(When::new("gone", true)).build()?;
/// assert!(matches!(spec.mode(), Mode::Snapshot { deletes: Deletes::When(_), .. }));
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Deletes {
    /// Nothing.
    None,
    /// Absence from a snapshot.
    Absence(Absence),
    /// A row that says so.
    When(When),
}

impl From<Absence> for Deletes {
    fn from(absence: Absence) -> Self {
        Deletes::Absence(absence)
    }
}

impl From<When> for Deletes {
    fn from(when: When) -> Self {
        Deletes::When(when)
    }
}
