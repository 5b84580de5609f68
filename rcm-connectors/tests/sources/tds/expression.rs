//! Values of expressions.

use super::catalog::same;
use super::cell::{Cell, unhex};
use super::engine::syntax;
use super::token::Message;
use super::translate::{Result, Translator};
use super::types::Type;
use super::value::{Typed, is_number, met};
use super::write::of_type;
use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator, Value};
use std::fmt::Write as _;

impl Translator<'_> {
    pub(super) fn expr(&mut self, expr: &Expr) -> Result<Typed> {
        if let Some((sql, column)) = self.column(expr) {
            return Ok(Typed::new(sql, column.of));
        }
        match expr {
            Expr::Identifier(ident) if ident.quote_style.is_none() && ident.value.starts_with('@') => {
                self.variable(&ident.value)
            }
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => {
                Err(Message::error(207, 16, format!("Invalid column name '{expr}'.")))
            }
            Expr::Value(value) => self.literal(&value.value),
            Expr::Nested(inner) => {
                let inner = self.expr(inner)?;
                Ok(Typed { sql: format!("({})", inner.sql), ..inner })
            }
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } => {
                let inner = self.expr(expr)?;
                match inner.value {
                    Some(Cell::Int(value)) => Ok(Typed::value(inner.of, Cell::Int(-value))),
                    Some(Cell::Decimal(value)) => Ok(Typed::value(inner.of, Cell::Decimal(-value))),
                    Some(Cell::Float(value)) => Ok(Typed::value(inner.of, Cell::Float(-value))),
                    _ => Ok(Typed::new(format!("(- {})", inner.sql), inner.of)),
                }
            }
            Expr::BinaryOp { left, op, right } => self.arithmetic(left, op, right),
            Expr::Cast { kind: sqlparser::ast::CastKind::Cast, expr, data_type, array: false, format: None } => {
                self.expr(expr)?.to(&of_type(data_type)?)
            }
            Expr::Convert { is_try: false, expr, data_type: Some(data_type), charset: None, styles, .. } => {
                // What a style means is known of none: without one, or with 126 and 121 from a text, it is a CAST.
                if !styles.iter().all(|style| ["121", "126", "1", "2"].contains(&style.to_string().as_str())) {
                    return Err(syntax("CONVERT"));
                }
                self.expr(expr)?.to(&of_type(data_type)?)
            }
            Expr::Case { operand: None, conditions, else_result, .. } => {
                let mut branches = Vec::new();
                for when in conditions {
                    branches.push((Some(self.condition(&when.condition)?), self.expr(&when.result)?));
                }
                if let Some(other) = else_result {
                    branches.push((None, self.expr(other)?));
                }
                let mut of = branches[0].1.clone();
                for (_, branch) in &branches[1..] {
                    of = met(of, branch.clone())?.0;
                }
                let mut sql = "CASE".to_owned();
                for (condition, branch) in branches {
                    let branch = branch.to(&of.of)?.sql;
                    let _ = match condition {
                        Some(condition) => write!(sql, " WHEN {condition} THEN {branch}"),
                        None => write!(sql, " ELSE {branch}"),
                    };
                }
                Ok(Typed::new(format!("{sql} END"), of.of))
            }
            Expr::Subquery(query) => {
                let (sql, mut columns) = self.query(query)?;
                let column = columns.pop().filter(|_| columns.is_empty()).ok_or_else(|| syntax("SELECT"))?;
                Ok(Typed::new(format!("({sql})"), column.of))
            }
            Expr::AtTimeZone { timestamp, time_zone } => {
                let (at, zone) = (self.expr(timestamp)?, self.expr(time_zone)?);
                let scale = match at.of {
                    Type::DateTimeOffset(scale) | Type::DateTime2(scale) => scale,
                    _ => return Err(syntax("AT TIME ZONE")),
                };
                let sql = match at.of {
                    Type::DateTimeOffset(_) => format!("tds.in_zone(({}).ticks, {})", at.sql, zone.sql),
                    _ => format!("tds.of_zone({}, {})", at.sql, zone.sql),
                };
                Ok(Typed::new(sql, Type::DateTimeOffset(scale)))
            }
            Expr::Function(function) => self.function(function),
            other => Err(syntax(&other.to_string())),
        }
    }

    pub(super) fn variable(&self, of: &str) -> Result<Typed> {
        if let Some(parameter) = self.parameters.iter().find(|parameter| same(&parameter.name, of)) {
            return Ok(Typed::value(parameter.of.clone(), parameter.value.clone()));
        }
        Ok(match of.to_ascii_uppercase().as_str() {
            "@@VERSION" => Typed::value(
                Type::NVarChar(Some(300)),
                Cell::Text("Microsoft SQL Server 2022 - 16.0.1000.6 (rcm)".into()),
            ),
            "@@SPID" => Typed::new("(pg_backend_pid() % 32767)::smallint", Type::SmallInt),
            "@@DBTS" => Typed::new("tds.eight(tds.last_version())", Type::Binary(8)),
            _ => return Err(Message::error(137, 15, format!("Must declare the scalar variable \"{of}\"."))),
        })
    }

    pub(super) fn literal(&self, value: &Value) -> Result<Typed> {
        Ok(match value {
            Value::Placeholder(of) => return self.variable(of),
            Value::Null => Typed::value(Type::Int, Cell::Null),
            Value::SingleQuotedString(text) => Typed::value(
                Type::VarChar(u16::try_from(text.len().max(1)).ok().filter(|n| *n <= 8000)),
                Cell::Text(text.clone()),
            ),
            Value::NationalStringLiteral(text) => Typed::value(
                Type::NVarChar(u16::try_from(text.len().max(1)).ok().filter(|n| *n <= 4000)),
                Cell::Text(text.clone()),
            ),
            Value::HexStringLiteral(digits) => {
                let bytes =
                    unhex(&format!("{}{digits}", "0".repeat(digits.len() % 2))).ok_or_else(|| syntax(digits))?;
                Typed::value(Type::VarBinary(Some(bytes.len().clamp(1, 8000) as u16)), Cell::Bytes(bytes))
            }
            Value::Number(text, false) if text.contains(['e', 'E']) => {
                Typed::value(Type::Float, Cell::Float(text.parse().map_err(|_| syntax(text))?))
            }
            Value::Number(text, false) => {
                match (text.parse::<i32>(), text.split_once('.').map_or("", |(_, fraction)| fraction)) {
                    (Ok(value), _) => Typed::value(Type::Int, Cell::Int(value.into())),
                    (_, fraction) => {
                        let scale = fraction.len() as u8;
                        let precision =
                            text.trim_start_matches('0').replace('.', "").len().max(scale.into()).max(1) as u8;
                        let value = super::cell::decimal(text, scale)
                            .filter(|_| precision <= 38)
                            .ok_or_else(|| syntax(text))?;
                        Typed::value(Type::Numeric(precision, scale), Cell::Decimal(value))
                    }
                }
            }
            other => return Err(syntax(&other.to_string())),
        })
    }

    pub(super) fn arithmetic(&mut self, left: &Expr, op: &BinaryOperator, right: &Expr) -> Result<Typed> {
        use BinaryOperator::{Divide, Minus, Modulo, Multiply, Plus};
        let (Plus | Minus | Multiply | Divide | Modulo) = op else { return Err(syntax(&op.to_string())) };
        let (left, right) = met(self.expr(left)?, self.expr(right)?)?;
        if *op == Plus && left.of.is_text() && right.of.is_text() {
            let of = if left.of.is_wide() || right.of.is_wide() { Type::NVarChar(None) } else { Type::VarChar(None) };
            return Ok(Typed::new(format!("({} || {})", left.sql, right.sql), of));
        }
        if !is_number(&left.of) || !is_number(&right.of) {
            return Err(Message::error(8117, 16, format!("Operand data type is invalid for the operator {op}.")));
        }
        let decimal = |of: &Type| match of {
            Type::Decimal(p, s) | Type::Numeric(p, s) => (*p, *s),
            Type::Money | Type::SmallMoney => (19, 4),
            _ => (19, 0),
        };
        let floats = matches!(left.of, Type::Float | Type::Real) || matches!(right.of, Type::Float | Type::Real);
        let whole = |of: &Type| matches!(of, Type::Bit | Type::TinyInt | Type::SmallInt | Type::Int | Type::BigInt);
        let of = if floats {
            Type::Float
        } else if whole(&left.of) && whole(&right.of) {
            if left.of == Type::BigInt || right.of == Type::BigInt { Type::BigInt } else { Type::Int }
        } else {
            let ((p1, s1), (p2, s2)) = (decimal(&left.of), decimal(&right.of));
            let scale = if *op == Multiply { s1 + s2 } else { s1.max(s2) };
            let whole = if *op == Multiply { p1 - s1 + p2 - s2 + 1 } else { (p1 - s1).max(p2 - s2) + 1 };
            // SQL Server cuts the scale of a quotient by rules of its own, which are not among these.
            if *op == Divide {
                return Err(syntax("/"));
            }
            let whole = whole.min(38);
            Type::Decimal((whole + scale).min(38), scale.min(38 - whole.min(32)))
        };
        Ok(Typed::new(format!("({} {op} {})::{}", left.sql, right.sql, super::storage::stored(&of)), of))
    }
}
