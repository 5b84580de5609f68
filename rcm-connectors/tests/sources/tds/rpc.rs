//! RPC (MS-TDS 2.2.6.6): `sp_executesql` with its parameters.

use super::cell::{Cell, DAY, DAYS_1900, SECOND, from_windows_1252, mixed};
use super::token::Message;
use super::types::{Type, time_bytes};
use super::wire::{Reader, invalid, unsigned, utf16};
use std::io::Result;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rpc {
    pub procedure: Procedure,
    pub parameters: Vec<Parameter>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Procedure {
    Name(String),
    Id(u16),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parameter {
    /// With its `@`; empty where parameters go by place.
    pub name: String,
    pub of: Type,
    pub value: Cell,
}

pub(crate) const SP_EXECUTESQL: u16 = 10;

/// ALL_HEADERS, which stand before a batch and an RPC: of the headers, the transaction they are for.
pub(crate) fn headers(from: &mut Reader<'_>) -> Result<u64> {
    let length = from.u32()? as usize;
    let mut headers = Reader(from.take(length.checked_sub(4).ok_or_else(|| invalid("ALL_HEADERS"))?)?);
    let mut transaction = 0;
    while !headers.is_empty() {
        let length = headers.u32()? as usize;
        let mut header = Reader(headers.take(length.checked_sub(4).ok_or_else(|| invalid("a header"))?)?);
        if header.u16()? == 2 {
            transaction = header.u64()?;
        }
    }
    Ok(transaction)
}

impl Rpc {
    pub(crate) fn decode(from: &mut Reader<'_>) -> Result<Rpc> {
        let procedure = match from.u16()? {
            0xFFFF => Procedure::Id(from.u16()?),
            units => Procedure::Name(from.utf16(units.into())?),
        };
        from.u16()?;
        let mut parameters = Vec::new();
        while !from.is_empty() {
            // Batches of RPCs are not among what is understood.
            let (name, flags) = (from.b_varchar()?, from.u8()?);
            if flags & !0x03 != 0 {
                return Err(invalid("flags of a parameter"));
            }
            let (of, value) = parameter(from)?;
            parameters.push(Parameter { name, of, value });
        }
        Ok(Rpc { procedure, parameters })
    }

    pub(crate) fn is_execute_sql(&self) -> bool {
        match &self.procedure {
            Procedure::Id(id) => *id == SP_EXECUTESQL,
            Procedure::Name(name) => name.rsplit('.').next().unwrap().eq_ignore_ascii_case("sp_executesql"),
        }
    }
}

/// The statement of `sp_executesql`, and its parameters with their names.
pub(crate) fn statement(rpc: &Rpc) -> std::result::Result<(String, Vec<Parameter>), Message> {
    if !rpc.is_execute_sql() {
        return Err(Message::error(2812, 16, format!("Could not find stored procedure '{:?}'.", rpc.procedure)));
    }
    let missing =
        || Message::error(214, 16, "Procedure expects parameter '@statement' of type 'ntext/nchar/nvarchar'.");
    let (Some(Cell::Text(batch)), rest) = (rpc.parameters.first().map(|first| &first.value), rpc.parameters.get(2..))
    else {
        return Err(missing());
    };
    let declared = match rpc.parameters.get(1).map(|second| &second.value) {
        Some(Cell::Text(declared)) => declared.as_str(),
        _ => "",
    };
    // Names of parameters that go by place: of `decimal(9, 2)` the second part has none.
    let names: Vec<&str> = declared.split(',').map(str::trim).filter(|part| part.starts_with('@')).collect();
    let mut parameters = rest.unwrap_or_default().to_vec();
    for (n, parameter) in parameters.iter_mut().enumerate() {
        if parameter.name.is_empty() {
            let name = names.get(n).and_then(|name| name.split_whitespace().next()).ok_or_else(missing)?;
            name.clone_into(&mut parameter.name);
        }
        // A null may come without a type: it is of the one that was declared.
        let declared = names.iter().filter_map(|name| name.split_once(char::is_whitespace));
        let of = declared.into_iter().find(|(name, _)| *name == parameter.name).and_then(|(_, of)| Type::parse(of));
        if let (Cell::Null, Some(of)) = (&parameter.value, of) {
            parameter.of = of;
        }
    }
    Ok((batch.clone(), parameters))
}

/// TYPE_INFO and the value behind it.
pub(crate) fn parameter(from: &mut Reader<'_>) -> Result<(Type, Cell)> {
    let token = from.u8()?;
    Ok(match token {
        0x1F => (Type::Int, Cell::Null),
        0x30 => (Type::TinyInt, Cell::Int(from.u8()?.into())),
        0x32 => (Type::Bit, Cell::Int(from.u8()?.into())),
        0x34 => (Type::SmallInt, Cell::Int((from.u16()? as i16).into())),
        0x38 => (Type::Int, Cell::Int((from.u32()? as i32).into())),
        0x7F => (Type::BigInt, Cell::Int(from.u64()? as i64)),
        0x3B => (Type::Real, Cell::Float(f32::from_le_bytes(from.array()?).into())),
        0x3E => (Type::Float, Cell::Float(f64::from_le_bytes(from.array()?))),
        0x26 | 0x68 | 0x6D | 0x6E | 0x6F | 0x24 => {
            let size = from.u8()?;
            let length = from.u8()?;
            let value = from.take(length.into())?;
            let of = match (token, size) {
                (0x26, 1) => Type::TinyInt,
                (0x26, 2) => Type::SmallInt,
                (0x26, 4) => Type::Int,
                (0x26, 8) => Type::BigInt,
                (0x68, _) => Type::Bit,
                (0x6D, 4) => Type::Real,
                (0x6D, 8) => Type::Float,
                (0x6E, 4) => Type::SmallMoney,
                (0x6E, 8) => Type::Money,
                (0x6F, 4) => Type::SmallDateTime,
                (0x6F, 8) => Type::DateTime,
                (0x24, _) => Type::UniqueIdentifier,
                _ => return Err(invalid("the size of a parameter")),
            };
            let cell = if value.is_empty() { Cell::Null } else { sized(&of, value)? };
            (of, cell)
        }
        0x6A | 0x6C | 0x37 | 0x3F => {
            from.u8()?;
            let (precision, scale, length) = (from.u8()?, from.u8()?, from.u8()?);
            let value = from.take(length.into())?;
            let cell = match value.split_first() {
                None => Cell::Null,
                Some((sign, magnitude)) => {
                    let magnitude = i128::try_from(unsigned(magnitude)).map_err(|_| invalid("a decimal"))?;
                    Cell::Decimal(if *sign == 0 { -magnitude } else { magnitude })
                }
            };
            (if token == 0x6A { Type::Decimal(precision, scale) } else { Type::Numeric(precision, scale) }, cell)
        }
        0x28..=0x2B => {
            let scale = if token == 0x28 { 0 } else { from.u8()? };
            let length = from.u8()?;
            let mut value = Reader(from.take(length.into())?);
            let of = match token {
                0x28 => Type::Date,
                0x29 => Type::Time(scale),
                0x2A => Type::DateTime2(scale),
                _ => Type::DateTimeOffset(scale),
            };
            (of, if length == 0 { Cell::Null } else { time(token, scale, &mut value)? })
        }
        0xA5 | 0xA7 | 0xAD | 0xAF | 0xE7 | 0xEF => {
            let size = from.u16()?;
            if !matches!(token, 0xA5 | 0xAD) {
                from.take(5)?;
            }
            let bytes = if size == 0xFFFF { plp(from)? } else { short(from)? };
            let length = |n: u16| (size != 0xFFFF).then_some(n.max(1));
            let of = match token {
                0xA5 | 0xAD => Type::VarBinary(length(size)),
                0xA7 | 0xAF => Type::VarChar(length(size)),
                _ => Type::NVarChar(length(size / 2)),
            };
            let cell = match bytes {
                None => Cell::Null,
                Some(bytes) if of.is_bytes() => Cell::Bytes(bytes),
                Some(bytes) if of.is_wide() => Cell::Text(utf16(&bytes)?),
                Some(bytes) => Cell::Text(from_windows_1252(&bytes)),
            };
            (of, cell)
        }
        other => return Err(invalid(&format!("a parameter of type {other:#04x}"))),
    })
}

pub(crate) fn sized(of: &Type, value: &[u8]) -> Result<Cell> {
    let number = unsigned(value);
    Ok(match (of, value.len()) {
        (Type::TinyInt | Type::Bit, _) => Cell::Int(number as i64),
        (Type::SmallInt, _) => Cell::Int((number as i16).into()),
        (Type::Int, _) => Cell::Int((number as i32).into()),
        (Type::BigInt, _) => Cell::Int(number as i64),
        (Type::Real, 4) => Cell::Float(f32::from_bits(number as u32).into()),
        (Type::Float, 8) => Cell::Float(f64::from_bits(number as u64)),
        (Type::SmallMoney, 4) => Cell::Decimal((number as i32).into()),
        (Type::Money, 8) => Cell::Decimal(((number as u64).rotate_left(32) as i64).into()),
        (Type::DateTime, 8) => {
            let (days, parts) = (number as u32 as i32, (number >> 32) as i64);
            Cell::Ticks((i64::from(days) + DAYS_1900) * DAY + (parts * SECOND + 150) / 300)
        }
        (Type::SmallDateTime, 4) => {
            let (days, minutes) = (number as i64 & 0xFFFF, number as i64 >> 16);
            Cell::Ticks((days + DAYS_1900) * DAY + minutes * 60 * SECOND)
        }
        (Type::UniqueIdentifier, 16) => Cell::Guid(mixed(value.try_into().unwrap())),
        _ => return Err(invalid("the length of a parameter")),
    })
}

pub(crate) fn time(token: u8, scale: u8, value: &mut Reader<'_>) -> Result<Cell> {
    if scale > 7 {
        return Err(invalid("the scale of a time"));
    }
    let ticks = match token {
        0x28 => 0,
        _ => value.unsigned(time_bytes(scale))? as i64 * 10_i64.pow(7 - u32::from(scale)),
    };
    let days = if token == 0x29 { 0 } else { value.unsigned(3)? as i64 };
    let ticks = days * DAY + ticks;
    Ok(match token {
        0x2B => Cell::Offset(ticks, value.u16()? as i16),
        _ => Cell::Ticks(ticks),
    })
}

pub(crate) fn short(from: &mut Reader<'_>) -> Result<Option<Vec<u8>>> {
    let length = from.u16()?;
    if length == 0xFFFF {
        return Ok(None);
    }
    Ok(Some(from.take(length.into())?.to_vec()))
}

pub(crate) fn plp(from: &mut Reader<'_>) -> Result<Option<Vec<u8>>> {
    let (length, mut bytes) = (from.u64()?, Vec::new());
    if length == u64::MAX {
        return Ok(None);
    }
    loop {
        let chunk = from.u32()? as usize;
        if chunk == 0 {
            break;
        }
        bytes.extend(from.take(chunk)?);
    }
    if length != u64::MAX - 1 && length != bytes.len() as u64 {
        return Err(invalid("a value is not as long as it says"));
    }
    Ok(Some(bytes))
}
