//! What functions come to.

use super::cell::Cell;
use super::engine::syntax;
use super::token::Message;
use super::translate::{Result, Translator};
use super::types::Type;
use super::value::{Typed, met};
use sqlparser::ast::{Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments};

impl Translator<'_> {
    pub(super) fn function(&mut self, function: &Function) -> Result<Typed> {
        let of = function.name.to_string().to_ascii_uppercase();
        let FunctionArguments::List(list) = &function.args else { return Err(syntax(&of)) };
        if function.over.is_some()
            || function.filter.is_some()
            || !list.clauses.is_empty()
            || list.duplicate_treatment.is_some()
        {
            return Err(syntax(&of));
        }
        let mut args = Vec::new();
        let mut star = false;
        for arg in &list.args {
            match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => star = true,
                FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)) => args.push(match arg {
                    // DATEADD(day, …): a word that is no column.
                    Expr::Identifier(ident) if (of == "DATEADD" || of == "DATEPART") && args.is_empty() => {
                        Typed::value(Type::VarChar(Some(20)), Cell::Text(ident.value.to_ascii_lowercase()))
                    }
                    arg => self.expr(arg)?,
                }),
                other => return Err(syntax(&other.to_string())),
            }
        }
        let unknown = || Message::error(195, 15, format!("'{of}' is not a recognized built-in function name."));
        Ok(match (of.as_str(), args.as_slice()) {
            ("SYSUTCDATETIME", []) => Typed::new("tds.now()", Type::DateTime2(7)),
            ("SYSDATETIME", []) => Typed::new("tds.local_now()", Type::DateTime2(7)),
            ("GETUTCDATE", []) => Typed::new("tds.now()", Type::DateTime2(7)).to(&Type::DateTime)?,
            ("GETDATE", []) => Typed::new("tds.local_now()", Type::DateTime2(7)).to(&Type::DateTime)?,
            ("SCHEMA_NAME", []) => Typed::value(Type::NVarChar(Some(128)), Cell::Text("dbo".into())),
            ("ROWCOUNT_BIG", []) => Typed::value(Type::BigInt, Cell::Int(self.catalog.row_count as i64)),
            ("HAS_PERMS_BY_NAME", [_, _, Typed { value: Some(Cell::Text(permission)), .. }])
                if permission == "UNMASK" =>
            {
                Typed::new("(SELECT unmask FROM tds.settings)", Type::Int)
            }
            ("DATABASEPROPERTYEX", [_, Typed { value: Some(Cell::Text(property)), .. }])
                if property == "Updateability" =>
            {
                Typed::new("(SELECT updateability FROM tds.settings)", Type::NVarChar(Some(128)))
            }
            ("DB_ID", []) => Typed::value(Type::Int, Cell::Int(5)),
            // Of the two collations that there are, and null of what has none.
            ("COLLATIONPROPERTY", [of, Typed { value: Some(Cell::Text(property)), .. }]) if property == "CodePage" => {
                Typed::new(
                    format!("(CASE WHEN {0} LIKE '%CP437%' THEN 437 WHEN {0} IS NOT NULL THEN 1252 END)", of.sql),
                    Type::Int,
                )
            }
            ("DATEPART", [Typed { value: Some(Cell::Text(part)), .. }, of]) if part == "tzoffset" => match of.of {
                Type::DateTimeOffset(_) => Typed::new(format!("(({}).minutes)::integer", of.sql), Type::Int),
                _ => return Err(Message::error(9810, 16, "The datepart is not supported by date function datepart.")),
            },
            ("MIN_ACTIVE_ROWVERSION", []) => Typed::new("tds.min_active()", Type::Binary(8)),
            ("DB_NAME", []) => Typed::value(Type::NVarChar(Some(128)), Cell::Text(self.catalog.database.clone())),
            ("OBJECT_ID", [Typed { value: Some(Cell::Text(of)), .. }]) => {
                let parts: Vec<String> =
                    of.split('.').map(|part| part.trim_matches(['[', ']', '"']).to_owned()).collect();
                let id = self.catalog.table(&parts).ok().filter(|table| table.object_id != 0);
                Typed::value(Type::Int, id.map_or(Cell::Null, |table| Cell::Int(table.object_id.into())))
            }
            ("COUNT", _) if star => Typed::new("count(*)::integer", Type::Int),
            ("COUNT_BIG", _) if star => Typed::new("count(*)", Type::BigInt),
            ("COUNT", [arg]) => Typed::new(format!("count({})::integer", arg.sql), Type::Int),
            ("COUNT_BIG", [arg]) => Typed::new(format!("count({})", arg.sql), Type::BigInt),
            // PostgreSQL has neither of bytes.
            ("MIN" | "MAX", [arg]) if arg.of.is_bytes() || arg.of == Type::UniqueIdentifier => {
                let sort = if of == "MIN" { "" } else { " DESC" };
                Typed::new(
                    format!("(array_agg({0} ORDER BY {0}{sort}) FILTER (WHERE {0} IS NOT NULL))[1]", arg.sql),
                    arg.of.clone(),
                )
            }
            ("MIN" | "MAX", [arg]) => Typed::new(format!("{of}({})", arg.sql), arg.of.clone()),
            ("SUM", [arg]) => {
                let to = match &arg.of {
                    Type::TinyInt | Type::SmallInt | Type::Int => Type::Int,
                    Type::BigInt => Type::BigInt,
                    Type::Decimal(_, scale) | Type::Numeric(_, scale) => Type::Decimal(38, *scale),
                    Type::Money | Type::SmallMoney => Type::Money,
                    Type::Real | Type::Float => Type::Float,
                    _ => return Err(Message::error(8117, 16, "Operand data type is invalid for sum operator.")),
                };
                Typed::new(format!("sum({})::{}", arg.sql, super::storage::stored(&to)), to)
            }
            ("ISNULL", [first, second]) => {
                let second = second.clone().to(&first.of)?;
                Typed::new(format!("coalesce({}, {})", first.sql, second.sql), first.of.clone())
            }
            ("COALESCE", [first, rest @ ..]) => {
                let mut of = first.clone();
                for arg in rest {
                    of = met(of, arg.clone())?.0;
                }
                let args = args.iter().map(|arg| Ok(arg.clone().to(&of.of)?.sql)).collect::<Result<Vec<_>>>()?;
                Typed::new(format!("coalesce({})", args.join(", ")), of.of)
            }
            ("UPPER" | "LOWER", [arg]) if arg.of.is_text() => Typed::new(format!("{of}({})", arg.sql), arg.of.clone()),
            ("LEN", [arg]) if arg.of.is_text() => Typed::new(format!("length(rtrim({}))", arg.sql), Type::Int),
            ("DATEADD", [Typed { value: Some(Cell::Text(part)), .. }, count, of]) => {
                let ticks: i64 = match part.as_str() {
                    "microsecond" | "mcs" => 10,
                    "millisecond" | "ms" => 10_000,
                    "second" | "ss" | "s" => 10_000_000,
                    "minute" | "mi" | "n" => 600_000_000,
                    "hour" | "hh" => 36_000_000_000,
                    "day" | "dd" | "d" => 864_000_000_000,
                    _ => return Err(Message::error(155, 15, format!("'{part}' is not a recognized dateadd option."))),
                };
                let count = count.clone().to(&Type::BigInt)?;
                let of = if of.of.is_text() { of.clone().to(&Type::DateTime2(7))? } else { of.clone() };
                match of.of {
                    Type::Time(_) | Type::DateTimeOffset(_) => return Err(syntax("DATEADD")),
                    to if to.is_temporal() => Typed::new(format!("({} + {} * {ticks})", of.sql, count.sql), to),
                    to => {
                        return Err(Message::error(8116, 16, format!("Argument data type {} is invalid.", to.name())));
                    }
                }
            }
            _ => return Err(unknown()),
        })
    }
}
