//! Expressions with their types, and how one type becomes another.

use super::catalog::quoted;
use super::cell::{Cell, DAY, SECOND, decimal, hex, in_order, unhex};
use super::storage::stored;
use super::token::Message;
use super::types::Type;

/// What PostgreSQL computes, and of which type of SQL Server it is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Typed {
    pub sql: String,
    pub of: Type,
    /// Of a literal or a parameter.
    pub value: Option<Cell>,
}

pub(crate) fn clash(from: &Type, to: &Type) -> Message {
    Message::error(206, 16, format!("Operand type clash: {} is incompatible with {}", from.name(), to.name()))
}

pub(crate) fn failed(from: &Type, to: &Type) -> Message {
    let text = format!("Conversion failed when converting the {} value to data type {}.", from.name(), to.name());
    Message::error(if to.is_temporal() { 241 } else { 245 }, 16, text)
}

impl Typed {
    pub(crate) fn new(sql: impl Into<String>, of: Type) -> Typed {
        Typed { sql: sql.into(), of, value: None }
    }

    pub(crate) fn value(of: Type, value: Cell) -> Typed {
        Typed { sql: literal(&of, &value), of, value: Some(value) }
    }

    /// The same in another type.
    pub(crate) fn to(self, to: &Type) -> Result<Typed, Message> {
        if self.of == *to {
            return Ok(self);
        }
        if let Some(value) = &self.value {
            let value = converted(value, &self.of, to)?;
            return Ok(Typed::value(to.clone(), value));
        }
        let (sql, from) = (&self.sql, &self.of);
        let cast = || format!("({sql})::{}", stored(to));
        let sql = match (from, to) {
            (_, Type::Variant) => format!("{} || ({sql})::text", quoted(&format!("{}|", from.declared()))),
            (Type::DateTimeOffset(_), Type::DateTimeOffset(scale)) => {
                format!("ROW({}, ({sql}).minutes)::tds.offset_time", rounded(&format!("({sql}).ticks"), *scale))
            }
            (Type::DateTimeOffset(_), to) if to.is_temporal() => {
                temporal(&format!("(({sql}).ticks + ({sql}).minutes * 600000000::bigint)"), to)
            }
            (from, Type::DateTimeOffset(_)) if from.is_temporal() => format!("ROW({sql}, 0)::tds.offset_time"),
            (from, to) if from.is_temporal() && to.is_temporal() => temporal(sql, to),
            (from, Type::BigInt | Type::Int) if from.is_bytes() => format!("tds.big({sql})::{}", stored(to)),
            (from, to) if from.is_bytes() && to.is_bytes() => sql.clone(),
            (Type::BigInt, Type::Binary(8) | Type::VarBinary(_) | Type::RowVersion) => format!("tds.eight({sql})"),
            (from, to) if from.is_text() && to.is_text() => cast(),
            (from, to) if is_number(from) && (is_number(to) || to.is_text()) => cast(),
            (from, to) if from.is_text() && is_number(to) => cast(),
            (from, to) => return Err(clash(from, to)),
        };
        Ok(Typed::new(sql, to.clone()))
    }
}

pub(crate) fn is_number(of: &Type) -> bool {
    use Type::{BigInt, Bit, Decimal, Float, Int, Money, Numeric, Real, SmallInt, SmallMoney, TinyInt};
    let exact = matches!(of, Bit | TinyInt | SmallInt | Int | BigInt | Decimal(..) | Numeric(..));
    exact || matches!(of, Money | SmallMoney | Real | Float)
}

/// Which of two types the other becomes: the higher.
pub(crate) fn precedence(of: &Type) -> u8 {
    match of {
        Type::Binary(_) | Type::VarBinary(_) | Type::Image | Type::Udt(_) => 0,
        Type::Char(_) | Type::VarChar(_) | Type::Text => 1,
        Type::NChar(_) | Type::NVarChar(_) | Type::NText => 2,
        Type::UniqueIdentifier => 3,
        Type::RowVersion => 4,
        Type::Bit => 5,
        Type::TinyInt => 6,
        Type::SmallInt => 7,
        Type::Int => 8,
        Type::BigInt => 9,
        Type::SmallMoney => 10,
        Type::Money => 11,
        Type::Decimal(..) | Type::Numeric(..) => 12,
        Type::Real => 13,
        Type::Float => 14,
        Type::Time(_) => 15,
        Type::Date => 16,
        Type::SmallDateTime => 17,
        Type::DateTime => 18,
        Type::DateTime2(_) => 19,
        Type::DateTimeOffset(_) => 20,
        Type::Xml => 21,
        Type::Variant => 22,
    }
}

/// Both in the type that they meet in. Numbers meet in PostgreSQL as they are.
pub(crate) fn met(left: Typed, right: Typed) -> Result<(Typed, Typed), Message> {
    let (low, high) = (precedence(&left.of), precedence(&right.of));
    let of = if low >= high { left.of.clone() } else { right.of.clone() };
    // A scale is not lost where a literal meets a column of a lower one.
    let of = match (&left.of, &right.of) {
        (Type::DateTime2(a), Type::DateTime2(b)) => Type::DateTime2(*a.max(b)),
        (Type::Time(a), Type::Time(b)) => Type::Time(*a.max(b)),
        (Type::DateTimeOffset(a), Type::DateTimeOffset(b)) => Type::DateTimeOffset(*a.max(b)),
        _ => of,
    };
    let wide = |side: Typed| match &of {
        of if is_number(of) && is_number(&side.of) => Ok(side),
        of if of.is_text() && side.of.is_text() => Ok(side),
        of if of.is_bytes() && side.of.is_bytes() => Ok(side),
        // A text beside a decimal takes all of its digits.
        Type::Decimal(..) | Type::Numeric(..) => side.to(&of),
        Type::DateTime2(_) if side.of.is_text() => side.to(&Type::DateTime2(7)),
        Type::DateTimeOffset(_) if side.of.is_text() => side.to(&Type::DateTimeOffset(7)),
        of => side.to(of),
    };
    Ok((wide(left)?, wide(right)?))
}

pub(crate) fn rounded(sql: &str, scale: u8) -> String {
    let unit = 10_i64.pow(7 - u32::from(scale.min(7)));
    if unit == 1 { sql.to_owned() } else { format!("(({sql} + {}) / {unit} * {unit})", unit / 2) }
}

pub(crate) fn temporal(sql: &str, to: &Type) -> String {
    match to {
        Type::Date => format!("({sql} / {DAY} * {DAY})"),
        Type::Time(scale) => rounded(&format!("({sql} % {DAY})"), *scale),
        Type::DateTime2(scale) => rounded(sql, *scale),
        Type::SmallDateTime => format!("(({sql} + {}) / {1} * {1})", 30 * SECOND, 60 * SECOND),
        // A 300th of a second: 33,333 and a third.
        _ => format!("({sql} / {SECOND} * {SECOND} + (({sql} % {SECOND} * 3 + 50000) / 100000 * 100000 + 1) / 3)"),
    }
}

/// The same as `temporal` does, of a value.
pub(crate) fn ticks(ticks: i64, to: &Type) -> i64 {
    let round = |ticks: i64, unit: i64| (ticks + unit / 2) / unit * unit;
    match to {
        Type::Date => ticks / DAY * DAY,
        Type::Time(scale) => round(ticks % DAY, 10_i64.pow(7 - u32::from(*scale))),
        Type::DateTime2(scale) | Type::DateTimeOffset(scale) => round(ticks, 10_i64.pow(7 - u32::from(*scale))),
        Type::SmallDateTime => round(ticks, 60 * SECOND),
        _ => ticks / SECOND * SECOND + (round(ticks % SECOND * 3, 100_000) + 1) / 3,
    }
}

/// A value as it is stored.
pub(crate) fn literal(of: &Type, value: &Cell) -> String {
    match value {
        Cell::Null => format!("NULL::{}", stored(of)),
        Cell::Int(value) => format!("({value})::{}", stored(of)),
        Cell::Decimal(value) => format!("({})::numeric", digits(*value, scale(of))),
        Cell::Float(value) => format!("'{value}'::{}", stored(of)),
        Cell::Text(text) => format!("{}::text", quoted(text)),
        Cell::Bytes(bytes) => format!("'\\x{}'::bytea", hex(bytes)),
        Cell::Ticks(ticks) => format!("({ticks})::bigint"),
        Cell::Offset(ticks, minutes) => format!("ROW({ticks}, {minutes})::tds.offset_time"),
        Cell::Guid(guid) => format!("'\\x{}'::bytea", hex(&in_order(guid))),
        Cell::Variant(inner) => {
            let bare = literal(&inner.0, &inner.1);
            format!("({} || ({bare})::text)", quoted(&format!("{}|", inner.0.declared())))
        }
    }
}

pub(crate) fn scale(of: &Type) -> u8 {
    match of {
        Type::Decimal(_, scale) | Type::Numeric(_, scale) => *scale,
        Type::Money | Type::SmallMoney => 4,
        _ => 0,
    }
}

pub(crate) fn digits(value: i128, scale: u8) -> String {
    let (sign, scale) = (if value < 0 { "-" } else { "" }, usize::from(scale));
    let digits = format!("{:0>1$}", value.unsigned_abs(), scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

pub(crate) fn converted(value: &Cell, from: &Type, to: &Type) -> Result<Cell, Message> {
    let text = match value {
        Cell::Null => return Ok(Cell::Null),
        _ if *to == Type::Variant => return Ok(Cell::Variant(Box::new((from.clone(), value.clone())))),
        Cell::Text(text) => text.clone(),
        Cell::Int(value) => value.to_string(),
        Cell::Decimal(value) => digits(*value, scale(from)),
        Cell::Float(value) => value.to_string(),
        Cell::Bytes(bytes) if to.is_bytes() => return Ok(Cell::Bytes(bytes.clone())),
        Cell::Bytes(bytes) if is_number(to) => {
            return Ok(Cell::Int(bytes.iter().fold(0, |number, byte| number << 8 | i64::from(*byte))));
        }
        Cell::Ticks(value) if to.is_temporal() => return Ok(Cell::Ticks(ticks(*value, to))),
        Cell::Ticks(value) if matches!(to, Type::DateTimeOffset(_)) => return Ok(Cell::Offset(ticks(*value, to), 0)),
        Cell::Offset(value, minutes) => match to {
            Type::DateTimeOffset(_) => return Ok(Cell::Offset(ticks(*value, to), *minutes)),
            to if to.is_temporal() => return Ok(Cell::Ticks(ticks(*value + i64::from(*minutes) * 60 * SECOND, to))),
            _ => return Err(clash(from, to)),
        },
        _ => return Err(clash(from, to)),
    };
    let failed = || failed(from, to);
    let whole = |text: &str| decimal(text.trim(), 0).and_then(|value| i64::try_from(value).ok()).ok_or_else(failed);
    // A number with decimals is cut, a text with decimals is none.
    let cut = |text: &str| {
        if from.is_text() { text.trim().parse().map_err(|_| failed()) } else { whole(text.split('.').next().unwrap()) }
    };
    Ok(match to {
        Type::Bit => Cell::Int(i64::from(cut(&text)? != 0)),
        Type::TinyInt | Type::SmallInt | Type::Int | Type::BigInt => {
            let value = cut(&text)?;
            let fits = match to {
                Type::TinyInt => u8::try_from(value).is_ok(),
                Type::SmallInt => i16::try_from(value).is_ok(),
                Type::Int => i32::try_from(value).is_ok(),
                _ => true,
            };
            if !fits {
                return Err(Message::error(
                    8115,
                    16,
                    format!("Arithmetic overflow error converting expression to data type {}.", to.name()),
                ));
            }
            Cell::Int(value)
        }
        Type::Decimal(precision, scale) | Type::Numeric(precision, scale) => {
            let value = decimal(text.trim(), *scale).ok_or_else(failed)?;
            if value.unsigned_abs() >= 10_u128.pow((*precision).into()) {
                return Err(Message::error(8115, 16, "Arithmetic overflow error converting to data type numeric."));
            }
            Cell::Decimal(value)
        }
        Type::Money | Type::SmallMoney => Cell::Decimal(decimal(text.trim(), 4).ok_or_else(failed)?),
        Type::Real | Type::Float => Cell::Float(text.trim().parse().map_err(|_| failed())?),
        Type::UniqueIdentifier => {
            let plain = text.trim().trim_matches(['{', '}']).replace('-', "");
            Cell::Guid(unhex(&plain).and_then(|bytes| bytes.try_into().ok()).ok_or_else(failed)?)
        }
        Type::DateTimeOffset(_) => {
            let (local, minutes) = moment(&text).ok_or_else(failed)?;
            Cell::Offset(ticks(local - i64::from(minutes) * 60 * SECOND, to), minutes)
        }
        to if to.is_temporal() => Cell::Ticks(ticks(moment(&text).ok_or_else(failed)?.0, to)),
        to if to.is_bytes() && from.is_text() => Cell::Bytes(super::cell::windows_1252(&text)),
        to if to.is_text() => Cell::Text(text),
        to => return Err(clash(from, to)),
    })
}

/// `2024-02-29`, `2024-02-29T23:59:59.1234567`, and with `Z` or `+01:00` behind: the local time, and minutes of offset.
pub(crate) fn moment(text: &str) -> Option<(i64, i16)> {
    let text = text.trim();
    let (date, rest) = match text.split_once(['T', ' ']) {
        Some((date, rest)) => (date, rest.trim()),
        None if text.contains(':') => ("1900-01-01", text),
        None => (text, ""),
    };
    let mut parts = date.splitn(3, '-');
    let (year, month, day) = match date.len() {
        8 if date.bytes().all(|byte| byte.is_ascii_digit()) => (&date[..4], &date[4..6], &date[6..]),
        _ => (parts.next()?, parts.next()?, parts.next()?),
    };
    let date = chrono::NaiveDate::from_ymd_opt(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)?;
    let days = i64::from(chrono::Datelike::num_days_from_ce(&date)) - 1;
    let (time, minutes) = match rest.rfind(['+', '-', 'Z']) {
        Some(at) if rest[at..].starts_with('Z') => (&rest[..at], 0),
        Some(at) => {
            let (hours, minutes) = rest[at + 1..].split_once(':')?;
            let minutes = hours.parse::<i16>().ok()? * 60 + minutes.parse::<i16>().ok()?;
            (rest[..at].trim(), if rest[at..].starts_with('-') { -minutes } else { minutes })
        }
        None => (rest, 0),
    };
    if minutes.abs() > 14 * 60 || !(0..3_652_059).contains(&days) {
        return None;
    }
    let mut ticks = 0;
    if !time.is_empty() {
        let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
        let mut parts = clock.split(':').map(|part| part.parse::<i64>().ok());
        let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next().unwrap_or(Some(0))?);
        if fraction.len() > 7 || !(0..24).contains(&hour) || !(0..60).contains(&minute) || !(0..60).contains(&second) {
            return None;
        }
        ticks = ((hour * 60 + minute) * 60 + second) * SECOND + format!("{fraction:0<7}").parse::<i64>().ok()?;
    }
    Some((days * DAY + ticks, minutes))
}
