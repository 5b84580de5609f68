//! What writes, and what declares.

use super::catalog::{Table, name, quoted, record, same};
use super::engine::{Step, syntax};
use super::storage::declared;
use super::token::{Column, Message};
use super::translate::{Result, Translator, full, parts};
use super::types::Type;
use sqlparser::ast::{
    AssignmentTarget, ColumnOption, Expr, FromTable, Ident, SetExpr, Statement, TableConstraint, TableObject,
};
use std::fmt::Write as _;

impl Translator<'_> {
    /// What writes, or declares.
    pub(crate) fn write(&mut self, statement: &Statement) -> Result<Step> {
        match statement {
            Statement::Insert(insert) if insert.output.is_none() && insert.on.is_none() => {
                let TableObject::TableName(of) = &insert.table else { return Err(syntax("INSERT")) };
                let table = self.catalog.table(&parts(of)?)?;
                let mut columns = Vec::new();
                for column in &insert.columns {
                    let wanted = parts(column)?.pop().unwrap_or_default();
                    let found = table.columns.iter().find(|column| same(&column.name, &wanted));
                    columns.push(
                        found.ok_or_else(|| Message::error(207, 16, format!("Invalid column name '{wanted}'.")))?,
                    );
                }
                if columns.is_empty() {
                    columns.extend(table.columns.iter().filter(|column| column.of != Type::RowVersion));
                }
                let source = insert.source.as_deref().ok_or_else(|| syntax("INSERT"))?;
                let SetExpr::Values(values) = source.body.as_ref() else { return Err(syntax("SELECT")) };
                let mut rows = Vec::new();
                for row in &values.rows {
                    if row.content.len() != columns.len() {
                        return Err(Message::error(
                            213,
                            16,
                            "Column name or number of supplied values does not match table definition.",
                        ));
                    }
                    let row = row
                        .content
                        .iter()
                        .zip(&columns)
                        .map(|(value, column)| Ok(self.expr(value)?.to(&column.of)?.sql));
                    rows.push(format!("({})", row.collect::<Result<Vec<_>>>()?.join(", ")));
                }
                let columns: Vec<String> = columns.iter().map(|column| name(&column.name)).collect();
                let sql = format!("INSERT INTO {} ({}) VALUES {}", full(&table), columns.join(", "), rows.join(", "));
                Ok(Step::Count { sql, command: 0xC3 })
            }
            Statement::Update(update)
                if update.from.is_none()
                    && update.output.is_none()
                    && update.limit.is_none()
                    && update.order_by.is_empty()
                    && update.returning.is_none() =>
            {
                self.sources.push(Vec::new());
                let into = self.from(&update.table)?;
                let mut sets = Vec::new();
                for assignment in &update.assignments {
                    let AssignmentTarget::ColumnName(target) = &assignment.target else { return Err(syntax("SET")) };
                    let target = Ident::new(parts(target)?.pop().unwrap_or_default());
                    let found = self.column(&Expr::Identifier(target.clone()));
                    let (_, column) =
                        found.ok_or_else(|| Message::error(207, 16, format!("Invalid column name '{target}'.")))?;
                    sets.push(format!(
                        "{} = {}",
                        name(&column.name),
                        self.expr(&assignment.value)?.to(&column.of)?.sql
                    ));
                }
                let mut sql = format!("UPDATE {into} SET {}", sets.join(", "));
                if let Some(selection) = &update.selection {
                    let _ = write!(sql, " WHERE {}", self.condition(selection)?);
                }
                Ok(Step::Count { sql, command: 0xC5 })
            }
            Statement::Delete(delete)
                if delete.output.is_none()
                    && delete.using.is_none()
                    && delete.limit.is_none()
                    && delete.order_by.is_empty()
                    && delete.returning.is_none() =>
            {
                self.sources.push(Vec::new());
                let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
                let [from] = from.as_slice() else { return Err(syntax("DELETE")) };
                let mut sql = format!("DELETE FROM {}", self.from(from)?);
                if let Some(selection) = &delete.selection {
                    let _ = write!(sql, " WHERE {}", self.condition(selection)?);
                }
                Ok(Step::Count { sql, command: 0xC4 })
            }
            Statement::CreateTable(create) => self.create(create),
            Statement::CreateIndex(index) => self.index(index),
            other => Err(syntax(&other.to_string())),
        }
    }

    /// An index of columns in rising order.
    fn index(&self, index: &sqlparser::ast::CreateIndex) -> Result<Step> {
        let (Some(of), None, true) = (&index.name, &index.predicate, index.include.is_empty()) else {
            return Err(syntax("INDEX"));
        };
        let (called, table) = (parts(of)?.pop().unwrap_or_default(), self.catalog.table(&parts(&index.table_name)?)?);
        let (schema, on) = (quoted(&table.schema), quoted(&table.name));
        let number = format!(
            "(SELECT coalesce(max(index_id), 1) + 1 FROM tds.indexes WHERE schema_name = {schema} AND table_name = {on})"
        );
        let mut columns = Vec::new();
        for column in &index.columns {
            let Expr::Identifier(ident) = &column.column.expr else { return Err(syntax("INDEX")) };
            let found = table.columns.iter().find(|column| same(&column.name, &ident.value));
            columns.push(
                found.ok_or_else(|| Message::error(1911, 16, "Column name does not exist in the target table."))?,
            );
        }
        let list: Vec<String> = columns.iter().map(|column| name(&column.name)).collect();
        let mut sql = format!("CREATE INDEX ON {} ({});", full(&table), list.join(", "));
        for (n, column) in columns.iter().enumerate() {
            let _ = write!(
                sql,
                "INSERT INTO tds.index_columns VALUES ({schema}, {on}, {number}, {}, {}, false);",
                n + 1,
                quoted(&column.name)
            );
        }
        let _ = write!(
            sql,
            "INSERT INTO tds.indexes VALUES ({schema}, {on}, {number}, {}, {}, false);",
            quoted(&called),
            index.unique
        );
        Ok(Step::Run(sql))
    }

    pub(super) fn create(&mut self, create: &sqlparser::ast::CreateTable) -> Result<Step> {
        let mut of = parts(&create.name)?;
        let table = of.pop().unwrap_or_default();
        let schema = of.pop().unwrap_or("dbo".into());
        let mut table = Table { schema, name: table, object_id: 0, columns: Vec::new() };
        let (mut fields, mut keys, mut versions, mut identities): (Vec<_>, Vec<String>, _, Vec<_>) =
            (Vec::new(), Vec::new(), None, Vec::new());
        for column in &create.columns {
            let of = of_type(&column.data_type)?;
            let (mut nullable, mut identity, mut options) = (of != Type::RowVersion, false, String::new());
            for option in &column.options {
                match &option.option {
                    ColumnOption::Null => {}
                    ColumnOption::NotNull => nullable = false,
                    ColumnOption::PrimaryKey(_) => {
                        nullable = false;
                        keys.push(column.name.value.clone());
                    }
                    ColumnOption::Identity(_) => {
                        (nullable, identity) = (false, true);
                        options.push_str(" GENERATED BY DEFAULT AS IDENTITY");
                    }
                    ColumnOption::Collation(_) => {}
                    other => return Err(syntax(&other.to_string())),
                }
            }
            if of == Type::RowVersion {
                versions = Some(column.name.value.clone());
            }
            fields.push((column.name.value.clone(), declared(&of), options));
            identities.push(identity);
            table.columns.push(Column { name: column.name.value.clone(), of, nullable });
        }
        for constraint in &create.constraints {
            let TableConstraint::PrimaryKey(key) = constraint else { return Err(syntax(&constraint.to_string())) };
            for column in &key.columns {
                let Expr::Identifier(ident) = &column.column.expr else { return Err(syntax("PRIMARY KEY")) };
                let column = table.columns.iter_mut().find(|column| same(&column.name, &ident.value));
                let column = column
                    .ok_or_else(|| Message::error(1911, 16, "Column name does not exist in the target table."))?;
                column.nullable = false;
                keys.push(column.name.clone());
            }
        }
        let lines = fields.iter().zip(&table.columns).map(|((field, of, options), column)| {
            format!("{} {of}{}{options}", name(field), if column.nullable { "" } else { " NOT NULL" })
        });
        let mut lines: Vec<String> = lines.collect();
        if !keys.is_empty() {
            lines.push(format!("PRIMARY KEY ({})", keys.iter().map(|key| name(key)).collect::<Vec<_>>().join(", ")));
        }
        let (schema, called) = (quoted(&table.schema), quoted(&table.name));
        let mut sql = format!(
            "CREATE SCHEMA IF NOT EXISTS {}; CREATE TABLE {} ({});",
            name(&table.schema),
            full(&table),
            lines.join(", ")
        );
        let _ = write!(sql, "INSERT INTO tds.objects (schema_name, name) VALUES ({schema}, {called});");
        for (n, column) in table.columns.iter().enumerate() {
            sql.push_str(&record(&table, n, column, identities[n]));
        }
        if !keys.is_empty() {
            let key = quoted(&format!("PK_{}", table.name));
            let _ = write!(sql, "INSERT INTO tds.indexes VALUES ({schema}, {called}, 1, {key}, true, true);");
        }
        for (n, key) in keys.iter().enumerate() {
            let _ = write!(
                sql,
                "INSERT INTO tds.index_columns VALUES ({schema}, {called}, 1, {}, {}, false);",
                n + 1,
                quoted(key)
            );
        }
        if let Some(version) = versions {
            let _ = write!(
                sql,
                "CREATE TRIGGER rowversion BEFORE INSERT OR UPDATE ON {} FOR EACH ROW EXECUTE FUNCTION tds.version({});",
                full(&table),
                quoted(&version)
            );
        }
        Ok(Step::Run(sql))
    }
}

pub(super) fn of_type(of: &sqlparser::ast::DataType) -> Result<Type> {
    let text = of.to_string().replace(['[', ']', '"'], "");
    Type::parse(&text).ok_or_else(|| Message::error(243, 16, format!("Type {text} is not a defined system type.")))
}
