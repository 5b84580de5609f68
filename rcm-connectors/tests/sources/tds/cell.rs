//! Values: from the text that PostgreSQL answers, and onto the wire (MS-TDS 2.2.5.5).

use super::types::{COLLATION, Type, magnitude, time_bytes};
use super::wire::{put_unsigned, put_utf16};

/// 100 nanoseconds: what times are counted in.
pub(crate) const SECOND: i64 = 10_000_000;
pub(crate) const DAY: i64 = 86_400 * SECOND;
/// Days from the year 1 to the year 1900.
pub(crate) const DAYS_1900: i64 = 693_595;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    /// Of `bit` and the integers.
    Int(i64),
    /// Of `decimal`, `numeric` (in its scale) and the moneys (in ten-thousandths).
    Decimal(i128),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    /// 100 ns since the year 1, or since midnight.
    Ticks(i64),
    /// 100 ns since the year 1 in UTC, and minutes of offset.
    Offset(i64, i16),
    /// As its text has it.
    Guid([u8; 16]),
    Variant(Box<(Type, Cell)>),
}

impl Cell {
    /// Of the text by which PostgreSQL tells a value (see `storage`). Numbers are rounded to the scale of the type.
    pub(crate) fn parse(of: &Type, text: Option<&str>) -> Option<Cell> {
        let Some(text) = text else { return Some(Cell::Null) };
        Some(match of {
            Type::Bit => Cell::Int(i64::from(text != "0")),
            Type::TinyInt | Type::SmallInt | Type::Int | Type::BigInt => Cell::Int(text.parse().ok()?),
            Type::Decimal(_, scale) | Type::Numeric(_, scale) => Cell::Decimal(decimal(text, *scale)?),
            Type::Money | Type::SmallMoney => Cell::Decimal(decimal(text, 4)?),
            Type::Real | Type::Float => Cell::Float(text.parse().ok()?),
            Type::UniqueIdentifier => Cell::Guid(from_order(&unhex(text.strip_prefix("\\x")?)?.try_into().ok()?)),
            of if of.is_temporal() => Cell::Ticks(text.parse().ok()?),
            Type::DateTimeOffset(_) => {
                let (ticks, minutes) = text.strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
                Cell::Offset(ticks.parse().ok()?, minutes.parse().ok()?)
            }
            of if of.is_bytes() => Cell::Bytes(unhex(text.strip_prefix("\\x")?)?),
            // As its base type, a zero byte's stand-in, and the value.
            Type::Variant => {
                let (base, value) = text.split_once('|')?;
                let base = Type::parse(base)?;
                let cell = Cell::parse(&base, Some(value))?;
                Cell::Variant(Box::new((base, cell)))
            }
            _ => Cell::Text(text.to_owned()),
        })
    }

    /// The value behind the length that its type wants.
    pub(crate) fn put(&self, of: &Type, out: &mut Vec<u8>) {
        let mut value = Vec::new();
        let is_null = *self == Cell::Null;
        if !is_null {
            self.bare(of, &mut value);
        }
        match of {
            of if of.is_plp() => match is_null {
                true => out.extend([0xFF; 8]),
                false => {
                    out.extend((value.len() as u64).to_le_bytes());
                    for chunk in value.chunks(5000) {
                        out.extend((chunk.len() as u32).to_le_bytes());
                        out.extend(chunk);
                    }
                    out.extend([0; 4]);
                }
            },
            Type::Text | Type::NText | Type::Image => match is_null {
                true => out.push(0),
                false => {
                    // A text pointer of 16 bytes and a time stamp of 8, which nobody reads any more.
                    out.push(16);
                    out.extend(b"dummy textptr\0\0\0");
                    out.extend(b"dummyTS\0");
                    out.extend((value.len() as u32).to_le_bytes());
                    out.extend(value);
                }
            },
            Type::Variant => {
                out.extend((value.len() as u32).to_le_bytes());
                out.extend(value);
            }
            of if of.is_text() || of.is_bytes() => match is_null {
                true => out.extend([0xFF; 2]),
                false => {
                    out.extend((value.len() as u16).to_le_bytes());
                    out.extend(value);
                }
            },
            _ => {
                out.push(value.len() as u8);
                out.extend(value);
            }
        }
    }

    /// The value without its length.
    fn bare(&self, of: &Type, out: &mut Vec<u8>) {
        match (of, self) {
            (Type::Bit | Type::TinyInt, Cell::Int(value)) => out.push(*value as u8),
            (Type::SmallInt, Cell::Int(value)) => out.extend((*value as i16).to_le_bytes()),
            (Type::Int, Cell::Int(value)) => out.extend((*value as i32).to_le_bytes()),
            (Type::BigInt, Cell::Int(value)) => out.extend(value.to_le_bytes()),
            (Type::Decimal(precision, _) | Type::Numeric(precision, _), Cell::Decimal(value)) => {
                out.push(u8::from(*value >= 0));
                put_unsigned(out, value.unsigned_abs(), magnitude(*precision));
            }
            (Type::SmallMoney, Cell::Decimal(value)) => out.extend((*value as i32).to_le_bytes()),
            (Type::Money, Cell::Decimal(value)) => {
                out.extend(((value >> 32) as i32).to_le_bytes());
                out.extend((*value as u32).to_le_bytes());
            }
            (Type::Real, Cell::Float(value)) => out.extend((*value as f32).to_le_bytes()),
            (Type::Float, Cell::Float(value)) => out.extend(value.to_le_bytes()),
            (Type::Date, Cell::Ticks(ticks)) => put_unsigned(out, (ticks / DAY) as u128, 3),
            (Type::Time(scale), Cell::Ticks(ticks)) => put_time(out, *ticks, *scale),
            (Type::DateTime2(scale), Cell::Ticks(ticks)) => {
                put_time(out, ticks % DAY, *scale);
                put_unsigned(out, (ticks / DAY) as u128, 3);
            }
            (Type::DateTimeOffset(scale), Cell::Offset(ticks, minutes)) => {
                put_time(out, ticks % DAY, *scale);
                put_unsigned(out, (ticks / DAY) as u128, 3);
                out.extend(minutes.to_le_bytes());
            }
            (Type::DateTime, Cell::Ticks(ticks)) => {
                out.extend(((ticks / DAY - DAYS_1900) as i32).to_le_bytes());
                out.extend((((ticks % DAY) * 300 + SECOND / 2) / SECOND).to_le_bytes().iter().take(4));
            }
            (Type::SmallDateTime, Cell::Ticks(ticks)) => {
                out.extend(((ticks / DAY - DAYS_1900) as u16).to_le_bytes());
                out.extend(((ticks % DAY / (60 * SECOND)) as u16).to_le_bytes());
            }
            (Type::UniqueIdentifier, Cell::Guid(guid)) => out.extend(mixed(guid)),
            (Type::Variant, Cell::Variant(inner)) => put_variant(out, &inner.0, &inner.1),
            (Type::NChar(n), Cell::Text(text)) => {
                put_utf16(out, text);
                while out.len() < usize::from(*n) * 2 {
                    out.extend([b' ', 0]);
                }
            }
            (of, Cell::Text(text)) if of.is_wide() => put_utf16(out, text),
            (Type::Char(n), Cell::Text(text)) => {
                out.extend(windows_1252(text));
                out.resize(out.len().max((*n).into()), b' ');
            }
            (of, Cell::Text(text)) if of.is_text() => out.extend(windows_1252(text)),
            (Type::Binary(n), Cell::Bytes(bytes)) => {
                out.extend(bytes);
                out.resize(out.len().max((*n).into()), 0);
            }
            (of, Cell::Bytes(bytes)) if of.is_bytes() => out.extend(bytes),
            (of, cell) => panic!("{cell:?} is no value of {of:?}"),
        }
    }
}

/// `sql_variant`: the base type, how many bytes of properties, they, and the value.
pub(crate) fn put_variant(out: &mut Vec<u8>, base: &Type, cell: &Cell) {
    let mut value = Vec::new();
    cell.bare(base, &mut value);
    let (token, properties): (u8, Vec<u8>) = match base {
        Type::Bit => (0x32, vec![]),
        Type::TinyInt => (0x30, vec![]),
        Type::SmallInt => (0x34, vec![]),
        Type::Int => (0x38, vec![]),
        Type::BigInt => (0x7F, vec![]),
        Type::Real => (0x3B, vec![]),
        Type::Float => (0x3E, vec![]),
        Type::Money => (0x3C, vec![]),
        Type::SmallMoney => (0x7A, vec![]),
        Type::DateTime => (0x3D, vec![]),
        Type::SmallDateTime => (0x3A, vec![]),
        Type::Date => (0x28, vec![]),
        Type::UniqueIdentifier => (0x24, vec![]),
        Type::Time(scale) => (0x29, vec![*scale]),
        Type::DateTime2(scale) => (0x2A, vec![*scale]),
        Type::DateTimeOffset(scale) => (0x2B, vec![*scale]),
        Type::Decimal(p, s) => (0x6A, vec![*p, *s]),
        Type::Numeric(p, s) => (0x6C, vec![*p, *s]),
        Type::VarBinary(_) | Type::Binary(_) => (0xA5, 8000_u16.to_le_bytes().to_vec()),
        Type::VarChar(_) | Type::Char(_) => (0xA7, [&COLLATION[..], &8000_u16.to_le_bytes()].concat()),
        Type::NVarChar(_) | Type::NChar(_) => (0xE7, [&COLLATION[..], &8000_u16.to_le_bytes()].concat()),
        other => panic!("sql_variant holds no {other:?}"),
    };
    out.extend([token, properties.len() as u8]);
    out.extend(properties);
    out.extend(value);
}

pub(crate) fn put_time(out: &mut Vec<u8>, ticks: i64, scale: u8) {
    put_unsigned(out, ticks as u128 / 10_u128.pow((7 - scale).into()), time_bytes(scale));
}

/// Of a number in decimals, its value in a scale; half goes away from zero.
pub(crate) fn decimal(text: &str, scale: u8) -> Option<i128> {
    let (negative, text) =
        text.strip_prefix('-').map_or((false, text.strip_prefix('+').unwrap_or(text)), |t| (true, t));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let scale = usize::from(scale);
    let kept = &fraction[..fraction.len().min(scale)];
    let mut value: i128 = format!("0{whole}{kept:0<scale$}").parse().ok()?;
    value += i128::from(fraction.as_bytes().get(scale).is_some_and(|digit| *digit >= b'5'));
    Some(if negative { -value } else { value })
}

/// The order in which SQL Server compares the bytes of a `uniqueidentifier`, as its text has them.
pub(crate) const ORDER: [usize; 16] = [10, 11, 12, 13, 14, 15, 8, 9, 6, 7, 4, 5, 0, 1, 2, 3];

/// Stored so, bytes compare as SQL Server compares.
pub(crate) fn in_order(guid: &[u8; 16]) -> [u8; 16] {
    ORDER.map(|at| guid[at])
}

pub(crate) fn from_order(stored: &[u8; 16]) -> [u8; 16] {
    let mut guid = [0; 16];
    ORDER.iter().zip(stored).for_each(|(at, byte)| guid[*at] = *byte);
    guid
}

/// On the wire the first three groups of a GUID are little-endian.
pub(crate) fn mixed(guid: &[u8; 16]) -> [u8; 16] {
    [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15].map(|at| guid[at])
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}

/// What Windows-1252 has above ASCII where Latin-1 has control characters.
pub(crate) const UPPER: [(char, u8); 27] = [
    ('€', 0x80),
    ('‚', 0x82),
    ('ƒ', 0x83),
    ('„', 0x84),
    ('…', 0x85),
    ('†', 0x86),
    ('‡', 0x87),
    ('ˆ', 0x88),
    ('‰', 0x89),
    ('Š', 0x8A),
    ('‹', 0x8B),
    ('Œ', 0x8C),
    ('Ž', 0x8E),
    ('‘', 0x91),
    ('’', 0x92),
    ('“', 0x93),
    ('”', 0x94),
    ('•', 0x95),
    ('–', 0x96),
    ('—', 0x97),
    ('˜', 0x98),
    ('™', 0x99),
    ('š', 0x9A),
    ('›', 0x9B),
    ('œ', 0x9C),
    ('ž', 0x9E),
    ('Ÿ', 0x9F),
];

/// As a `varchar` of the database has it: a question mark stands for what is not there.
pub(crate) fn windows_1252(text: &str) -> Vec<u8> {
    let byte = |of: char| match u32::from(of) {
        code @ (0..=0x7F | 0xA0..=0xFF) => code as u8,
        _ => UPPER.iter().find(|(letter, _)| *letter == of).map_or(b'?', |(_, byte)| *byte),
    };
    text.chars().map(byte).collect()
}

pub(crate) fn from_windows_1252(bytes: &[u8]) -> String {
    let letter = |byte: &u8| UPPER.iter().find(|(_, of)| of == byte).map_or(char::from(*byte), |(letter, _)| *letter);
    bytes.iter().map(letter).collect()
}
