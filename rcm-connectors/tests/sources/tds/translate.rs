//! Queries, written anew for PostgreSQL.

use super::catalog::{Catalog, Table, name, same};
use super::cell::Cell;
use super::engine::syntax;
use super::rpc::Parameter;
use super::token::{Column, Message};
use super::types::Type;
use super::value::met;
use sqlparser::ast::{
    BinaryOperator, Expr, GroupByExpr, Ident, JoinConstraint, JoinOperator, LimitClause, ObjectName, OrderBy,
    OrderByKind, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableFactor, TableWithJoins,
    TopQuantity, UnaryOperator,
};
use std::fmt::Write as _;

pub(super) type Result<T> = std::result::Result<T, Message>;

/// A table in the FROM of a query.
pub(super) struct Source {
    alias: String,
    columns: Vec<Column>,
}

pub(crate) struct Translator<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) parameters: &'a [Parameter],
    /// Those of the query, behind those of the queries around it.
    pub(super) sources: Vec<Vec<Source>>,
}

pub(super) fn parts(of: &ObjectName) -> Result<Vec<String>> {
    of.0.iter()
        .map(|part| part.as_ident().map(|ident| ident.value.clone()).ok_or_else(|| syntax(&of.to_string())))
        .collect()
}

pub(super) fn full(table: &Table) -> String {
    format!("{}.{}", name(&table.schema), name(&table.name))
}

impl<'a> Translator<'a> {
    pub(crate) fn new(catalog: &'a Catalog, parameters: &'a [Parameter]) -> Translator<'a> {
        Translator { catalog, parameters, sources: Vec::new() }
    }

    pub(crate) fn query(&mut self, query: &Query) -> Result<(String, Vec<Column>)> {
        let Query {
            with: None,
            body,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause: None,
            settings: None,
            format_clause: None,
            pipe_operators,
            ..
        } = query
        else {
            return Err(syntax("WITH or FOR"));
        };
        let (SetExpr::Select(select), true) = (body.as_ref(), locks.is_empty() && pipe_operators.is_empty()) else {
            return Err(syntax(&body.to_string()));
        };
        self.sources.push(Vec::new());
        let done = self.select(select, order_by.as_ref(), limit_clause.as_ref(), fetch.as_ref());
        self.sources.pop();
        done
    }

    pub(super) fn select(
        &mut self,
        select: &Select,
        order_by: Option<&OrderBy>,
        limit: Option<&LimitClause>,
        fetch: Option<&sqlparser::ast::Fetch>,
    ) -> Result<(String, Vec<Column>)> {
        let others = [
            select.into.is_some(),
            select.qualify.is_some(),
            !select.named_window.is_empty(),
            select.prewhere.is_some(),
            !select.lateral_views.is_empty(),
            !select.connect_by.is_empty(),
            !select.cluster_by.is_empty(),
            !select.distribute_by.is_empty(),
            !select.sort_by.is_empty(),
            select.exclude.is_some(),
            select.value_table_mode.is_some(),
        ];
        if others.contains(&true) {
            return Err(syntax(&select.to_string()));
        }
        let from = select.from.iter().map(|from| self.from(from)).collect::<Result<Vec<_>>>()?;
        let (mut items, mut columns) = (Vec::new(), Vec::new());
        for item in &select.projection {
            self.item(item, &mut items, &mut columns)?;
        }
        let distinct = match &select.distinct {
            None => "",
            Some(sqlparser::ast::Distinct::Distinct) => "DISTINCT ",
            Some(other) => return Err(syntax(&other.to_string())),
        };
        let mut sql = format!("SELECT {distinct}{}", items.join(", "));
        if !from.is_empty() {
            let _ = write!(sql, " FROM {}", from.join(", "));
        }
        if let Some(selection) = &select.selection {
            let _ = write!(sql, " WHERE {}", self.condition(selection)?);
        }
        match &select.group_by {
            GroupByExpr::Expressions(by, modifiers) if modifiers.is_empty() => {
                let by = by.iter().map(|by| Ok(self.expr(by)?.sql)).collect::<Result<Vec<_>>>()?;
                if !by.is_empty() {
                    let _ = write!(sql, " GROUP BY {}", by.join(", "));
                }
            }
            other => return Err(syntax(&other.to_string())),
        }
        if let Some(having) = &select.having {
            let _ = write!(sql, " HAVING {}", self.condition(having)?);
        }
        if let Some(order_by) = order_by {
            sql.push_str(&self.order_by(order_by, &columns)?);
        }
        match (&select.top, limit, fetch) {
            (None, None, None) => {}
            (Some(top), None, None) if !top.percent && !top.with_ties => {
                let count = match &top.quantity {
                    Some(TopQuantity::Constant(count)) => count.to_string(),
                    Some(TopQuantity::Expr(count)) => self.expr(count)?.to(&Type::BigInt)?.sql,
                    None => return Err(syntax("TOP")),
                };
                let _ = write!(sql, " LIMIT {count}");
            }
            // Both need an ORDER BY, and there is no LIMIT.
            (None, Some(LimitClause::LimitOffset { limit: None, offset: Some(offset), limit_by }), fetch)
                if limit_by.is_empty() && order_by.is_some() =>
            {
                let _ = write!(sql, " OFFSET {}", self.expr(&offset.value)?.to(&Type::BigInt)?.sql);
                if let Some(fetch) = fetch {
                    let quantity = fetch.quantity.as_ref().filter(|_| !fetch.percent && !fetch.with_ties);
                    let quantity = self.expr(quantity.ok_or_else(|| syntax("FETCH"))?)?.to(&Type::BigInt)?;
                    let _ = write!(sql, " LIMIT {}", quantity.sql);
                }
            }
            _ => return Err(syntax("LIMIT")),
        }
        Ok((sql, columns))
    }

    pub(super) fn item(&mut self, item: &SelectItem, items: &mut Vec<String>, columns: &mut Vec<Column>) -> Result<()> {
        let all = |source: &Source, items: &mut Vec<String>, columns: &mut Vec<Column>| {
            items.extend(source.columns.iter().map(|column| format!("{}.{}", name(&source.alias), name(&column.name))));
            columns.extend(source.columns.iter().cloned());
        };
        let (expr, alias) = match item {
            SelectItem::Wildcard(options) if options.to_string().is_empty() => {
                let sources = self.sources.last().unwrap();
                if sources.is_empty() {
                    return Err(Message::error(263, 16, "Must specify table to select from."));
                }
                sources.iter().for_each(|source| all(source, items, columns));
                return Ok(());
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(of), _) => {
                let of = parts(of)?.pop().unwrap_or_default();
                let source = self.sources.last().unwrap().iter().find(|source| same(&source.alias, &of));
                all(
                    source
                        .ok_or_else(|| Message::error(107, 15, format!("The column prefix '{of}' does not match.")))?,
                    items,
                    columns,
                );
                return Ok(());
            }
            SelectItem::UnnamedExpr(expr) => (expr, None),
            SelectItem::ExprWithAlias { expr, alias } => (expr, Some(alias.value.clone())),
            other => return Err(syntax(&other.to_string())),
        };
        let column = self.column(expr);
        let typed = self.expr(expr)?;
        let named = alias.or_else(|| column.as_ref().map(|(_, column)| column.name.clone())).unwrap_or_default();
        let nullable = column.is_none_or(|(_, column)| column.nullable);
        items.push(match named.is_empty() {
            true => typed.sql,
            false => format!("{} AS {}", typed.sql, name(&named)),
        });
        columns.push(Column { name: named, of: typed.of, nullable });
        Ok(())
    }

    pub(super) fn order_by(&mut self, order_by: &OrderBy, columns: &[Column]) -> Result<String> {
        let OrderByKind::Expressions(by) = &order_by.kind else { return Err(syntax("ORDER BY ALL")) };
        let mut sorts = Vec::new();
        for by in by {
            if by.options.nulls_first.is_some() || by.with_fill.is_some() {
                return Err(syntax("NULLS"));
            }
            let alias = match &by.expr {
                Expr::Identifier(ident) => columns.iter().find(|column| same(&column.name, &ident.value)),
                _ => None,
            };
            let sql = match (&by.expr, alias) {
                // An alias, where no column has its name.
                (expr, Some(alias)) if self.column(expr).is_none() => name(&alias.name),
                (Expr::Value(number), _) => number.to_string(),
                (expr, _) => self.expr(expr)?.sql,
            };
            sorts.push(format!(
                "{sql}{}",
                if by.options.asc == Some(false) { " DESC NULLS LAST" } else { " NULLS FIRST" }
            ));
        }
        Ok(format!(" ORDER BY {}", sorts.join(", ")))
    }

    pub(super) fn from(&mut self, from: &TableWithJoins) -> Result<String> {
        let mut sql = self.factor(&from.relation)?;
        for join in &from.joins {
            let right = self.factor(&join.relation)?;
            let (word, on) = match &join.join_operator {
                JoinOperator::Join(on) | JoinOperator::Inner(on) => ("JOIN", on),
                JoinOperator::Left(on) | JoinOperator::LeftOuter(on) => ("LEFT JOIN", on),
                JoinOperator::CrossJoin(on) => ("CROSS JOIN", on),
                other => return Err(syntax(&format!("{other:?}"))),
            };
            match on {
                JoinConstraint::On(on) => {
                    let on = self.condition(on)?;
                    let _ = write!(sql, " {word} {right} ON {on}");
                }
                JoinConstraint::None if word == "CROSS JOIN" => {
                    let _ = write!(sql, " {word} {right}");
                }
                _ => return Err(syntax(word)),
            }
        }
        Ok(sql)
    }

    pub(super) fn factor(&mut self, factor: &TableFactor) -> Result<String> {
        match factor {
            TableFactor::Table { name: of, alias, args: None, with_hints, version: None, sample: None, .. } => {
                for hint in with_hints {
                    let known = [
                        "NOLOCK",
                        "READUNCOMMITTED",
                        "READCOMMITTED",
                        "READCOMMITTEDLOCK",
                        "SNAPSHOT",
                        "HOLDLOCK",
                        "TABLOCK",
                    ];
                    if !known.contains(&hint.to_string().to_ascii_uppercase().as_str()) {
                        return Err(Message::error(321, 15, format!("{hint} is not a recognized table hints option.")));
                    }
                }
                let table = self.catalog.table(&parts(of)?)?;
                let alias = alias.as_ref().map_or(table.name.clone(), |alias| alias.name.value.clone());
                let sql = format!("{} AS {}", full(&table), name(&alias));
                self.sources.last_mut().unwrap().push(Source { alias, columns: table.columns.clone() });
                Ok(sql)
            }
            TableFactor::Derived { lateral: false, subquery, alias: Some(alias), .. } => {
                let (sql, columns) = self.query(subquery)?;
                let alias = alias.name.value.clone();
                let sql = format!("({sql}) AS {}", name(&alias));
                self.sources.last_mut().unwrap().push(Source { alias, columns });
                Ok(sql)
            }
            other => Err(syntax(&other.to_string())),
        }
    }

    /// The column that an expression names.
    pub(super) fn column(&self, expr: &Expr) -> Option<(String, Column)> {
        let (prefix, of): (Option<&str>, &Ident) = match expr {
            Expr::Identifier(of) => (None, of),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [.., prefix, of] => (Some(&prefix.value), of),
                _ => return None,
            },
            _ => return None,
        };
        self.sources.iter().rev().find_map(|sources| {
            let fitting = sources.iter().filter(|source| prefix.is_none_or(|prefix| same(prefix, &source.alias)));
            fitting.flat_map(|source| source.columns.iter().map(move |column| (source, column))).find_map(
                |(source, column)| {
                    same(&column.name, &of.value)
                        .then(|| (format!("{}.{}", name(&source.alias), name(&column.name)), column.clone()))
                },
            )
        })
    }

    /// What is true or false: in T-SQL that is no value.
    pub(super) fn condition(&mut self, expr: &Expr) -> Result<String> {
        Ok(match expr {
            Expr::Nested(inner) => format!("({})", self.condition(inner)?),
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => format!("NOT {}", self.condition(expr)?),
            Expr::BinaryOp { left, op: op @ (BinaryOperator::And | BinaryOperator::Or), right } => {
                format!("({} {op} {})", self.condition(left)?, self.condition(right)?)
            }
            Expr::BinaryOp { left, op, right } => {
                use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
                let (Eq | NotEq | Lt | LtEq | Gt | GtEq) = op else { return Err(syntax(&expr.to_string())) };
                let (left, right) = met(self.expr(left)?, self.expr(right)?)?;
                format!("{} {op} {}", left.sql, right.sql)
            }
            Expr::IsNull(expr) => format!("{} IS NULL", self.expr(expr)?.sql),
            Expr::IsNotNull(expr) => format!("{} IS NOT NULL", self.expr(expr)?.sql),
            Expr::Between { expr, negated, low, high } => {
                let (low, high) = (met(self.expr(expr)?, self.expr(low)?)?, met(self.expr(expr)?, self.expr(high)?)?);
                let not = if *negated { "NOT " } else { "" };
                format!("{not}({} >= {} AND {} <= {})", low.0.sql, low.1.sql, high.0.sql, high.1.sql)
            }
            Expr::InList { expr, list, negated } => {
                let mut any = Vec::new();
                for value in list {
                    let (expr, value) = met(self.expr(expr)?, self.expr(value)?)?;
                    any.push(format!("{} = {}", expr.sql, value.sql));
                }
                format!("{}({})", if *negated { "NOT " } else { "" }, any.join(" OR "))
            }
            Expr::InSubquery { expr, subquery, negated } => {
                let (sql, _) = self.query(subquery)?;
                format!("{} {}IN ({sql})", self.expr(expr)?.sql, if *negated { "NOT " } else { "" })
            }
            Expr::Exists { subquery, negated } => {
                format!("{}EXISTS ({})", if *negated { "NOT " } else { "" }, self.query(subquery)?.0)
            }
            Expr::Like { negated, any: false, expr, pattern, escape_char: None } => {
                let (expr, pattern) = (self.expr(expr)?, self.expr(pattern)?);
                // Sets of letters are T-SQL's only, and escapes PostgreSQL's only.
                if !matches!(&pattern.value, Some(Cell::Text(text)) if !text.contains(['[', '\\'])) {
                    return Err(syntax("LIKE"));
                }
                let like = if *negated { "NOT ILIKE" } else { "ILIKE" };
                format!("{} COLLATE \"C\" {like} {}", expr.sql, pattern.sql)
            }
            other => return Err(syntax(&other.to_string())),
        })
    }
}
