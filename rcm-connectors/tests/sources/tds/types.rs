//! The types of SQL Server: their names in T-SQL, and TYPE_INFO (MS-TDS 2.2.5.4 to 2.2.5.6).

use super::wire::{put_b_varchar, put_us_varchar};

/// Length of `varchar(n)` and the like; none: `max`.
pub(crate) type Length = Option<u16>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Type {
    Bit,
    TinyInt,
    SmallInt,
    Int,
    BigInt,
    Decimal(u8, u8),
    Numeric(u8, u8),
    Money,
    SmallMoney,
    Real,
    Float,
    Char(u16),
    VarChar(Length),
    NChar(u16),
    NVarChar(Length),
    Text,
    NText,
    Binary(u16),
    VarBinary(Length),
    Image,
    Date,
    Time(u8),
    DateTime,
    SmallDateTime,
    DateTime2(u8),
    DateTimeOffset(u8),
    UniqueIdentifier,
    Xml,
    Variant,
    RowVersion,
    Udt(Udt),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Udt {
    HierarchyId,
    Geometry,
    Geography,
}

impl Udt {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Udt::HierarchyId => "hierarchyid",
            Udt::Geometry => "geometry",
            Udt::Geography => "geography",
        }
    }

    fn assembly(self) -> String {
        let class = match self {
            Udt::HierarchyId => "SqlHierarchyId",
            Udt::Geometry => "SqlGeometry",
            Udt::Geography => "SqlGeography",
        };
        let of = "Microsoft.SqlServer.Types, Version=11.0.0.0, Culture=neutral, PublicKeyToken=89845dcd8080cc91";
        format!("Microsoft.SqlServer.Types.{class}, {of}")
    }
}

/// What a collation says on the wire: LCID with flags, and the sort order. Of the database:
/// `SQL_Latin1_General_CP1_CI_AS`, which is Windows-1252.
pub(crate) const COLLATION: [u8; 5] = [0x09, 0x04, 0xD0, 0x00, 0x34];

/// Bytes of a decimal's magnitude.
pub(crate) fn magnitude(precision: u8) -> usize {
    match precision {
        0..=9 => 4,
        10..=19 => 8,
        20..=28 => 12,
        _ => 16,
    }
}

/// Bytes of a time of such a scale.
pub(crate) fn time_bytes(scale: u8) -> usize {
    match scale {
        0..=2 => 3,
        3..=4 => 4,
        _ => 5,
    }
}

impl Type {
    /// Of a type in T-SQL, such as `decimal(18, 2)`.
    pub(crate) fn parse(text: &str) -> Option<Type> {
        let text = text.trim().to_ascii_lowercase();
        let (name, inner) = match text.split_once('(') {
            Some((name, inner)) => (name.trim(), Some(inner.trim().strip_suffix(')')?)),
            None => (text.as_str(), None),
        };
        let mut numbers = inner.into_iter().flat_map(|inner| inner.split(',')).map(str::trim);
        let first = numbers.next();
        let number = |none: u16| first.map_or(Some(none), |first| first.parse().ok());
        let small = |none: u8| first.map_or(Some(none), |first| first.parse().ok());
        let scale = |n: u8| (n <= 7).then_some(n);
        let length = |most: u16| match first {
            Some("max") => Some(None),
            _ => number(1).filter(|n| (1..=most).contains(n)).map(Some),
        };
        let fixed = |most: u16| number(1).filter(|n| (1..=most).contains(n));
        Some(match name {
            "bit" => Type::Bit,
            "tinyint" => Type::TinyInt,
            "smallint" => Type::SmallInt,
            "int" | "integer" => Type::Int,
            "bigint" => Type::BigInt,
            "decimal" | "dec" | "numeric" => {
                let precision = small(18)?;
                let scale = numbers.next().map_or(Some(0), |scale| scale.parse().ok())?;
                if !(1..=38).contains(&precision) || scale > precision {
                    return None;
                }
                if name == "numeric" { Type::Numeric(precision, scale) } else { Type::Decimal(precision, scale) }
            }
            "money" => Type::Money,
            "smallmoney" => Type::SmallMoney,
            "real" => Type::Real,
            "float" if small(53)? <= 24 => Type::Real,
            "float" => Type::Float,
            "char" => Type::Char(fixed(8000)?),
            "varchar" => Type::VarChar(length(8000)?),
            "nchar" => Type::NChar(fixed(4000)?),
            "nvarchar" => Type::NVarChar(length(4000)?),
            "sysname" => Type::NVarChar(Some(128)),
            "text" => Type::Text,
            "ntext" => Type::NText,
            "binary" => Type::Binary(fixed(8000)?),
            "varbinary" => Type::VarBinary(length(8000)?),
            "image" => Type::Image,
            "date" => Type::Date,
            "time" => Type::Time(scale(small(7)?)?),
            "datetime" => Type::DateTime,
            "smalldatetime" => Type::SmallDateTime,
            "datetime2" => Type::DateTime2(scale(small(7)?)?),
            "datetimeoffset" => Type::DateTimeOffset(scale(small(7)?)?),
            "uniqueidentifier" => Type::UniqueIdentifier,
            "xml" => Type::Xml,
            "sql_variant" => Type::Variant,
            "rowversion" | "timestamp" => Type::RowVersion,
            "hierarchyid" => Type::Udt(Udt::HierarchyId),
            "geometry" => Type::Udt(Udt::Geometry),
            "geography" => Type::Udt(Udt::Geography),
            _ => return None,
        })
    }

    /// The name in `sys.types` and `INFORMATION_SCHEMA.COLUMNS`.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Type::Bit => "bit",
            Type::TinyInt => "tinyint",
            Type::SmallInt => "smallint",
            Type::Int => "int",
            Type::BigInt => "bigint",
            Type::Decimal(..) => "decimal",
            Type::Numeric(..) => "numeric",
            Type::Money => "money",
            Type::SmallMoney => "smallmoney",
            Type::Real => "real",
            Type::Float => "float",
            Type::Char(_) => "char",
            Type::VarChar(_) => "varchar",
            Type::NChar(_) => "nchar",
            Type::NVarChar(_) => "nvarchar",
            Type::Text => "text",
            Type::NText => "ntext",
            Type::Binary(_) => "binary",
            Type::VarBinary(_) => "varbinary",
            Type::Image => "image",
            Type::Date => "date",
            Type::Time(_) => "time",
            Type::DateTime => "datetime",
            Type::SmallDateTime => "smalldatetime",
            Type::DateTime2(_) => "datetime2",
            Type::DateTimeOffset(_) => "datetimeoffset",
            Type::UniqueIdentifier => "uniqueidentifier",
            Type::Xml => "xml",
            Type::Variant => "sql_variant",
            Type::RowVersion => "timestamp",
            Type::Udt(udt) => udt.name(),
        }
    }

    /// The type in T-SQL with its numbers: what `parse` reads.
    pub(crate) fn declared(&self) -> String {
        let name = self.name();
        match self {
            Type::Decimal(p, s) | Type::Numeric(p, s) => format!("{name}({p},{s})"),
            Type::Char(n) | Type::NChar(n) | Type::Binary(n) => format!("{name}({n})"),
            Type::VarChar(n) | Type::NVarChar(n) | Type::VarBinary(n) => {
                n.map_or(format!("{name}(max)"), |n| format!("{name}({n})"))
            }
            Type::Time(s) | Type::DateTime2(s) | Type::DateTimeOffset(s) => format!("{name}({s})"),
            _ => name.to_owned(),
        }
    }

    /// Whether values come as `PARTLENTYPE`: in chunks.
    pub(crate) fn is_plp(&self) -> bool {
        matches!(self, Type::VarChar(None) | Type::NVarChar(None) | Type::VarBinary(None) | Type::Xml | Type::Udt(_))
    }

    /// UTF-16 on the wire.
    pub(crate) fn is_wide(&self) -> bool {
        matches!(self, Type::NChar(_) | Type::NVarChar(_) | Type::NText | Type::Xml)
    }

    pub(crate) fn is_text(&self) -> bool {
        self.is_wide() || matches!(self, Type::Char(_) | Type::VarChar(_) | Type::Text)
    }

    pub(crate) fn is_bytes(&self) -> bool {
        use Type::{Binary, Image, RowVersion, Udt, VarBinary};
        matches!(self, Binary(_) | VarBinary(_) | Image | RowVersion | Udt(_))
    }

    /// Dates and times; a `datetimeoffset` is not among them.
    pub(crate) fn is_temporal(&self) -> bool {
        use Type::{Date, DateTime, DateTime2, SmallDateTime, Time};
        matches!(self, Date | Time(_) | DateTime | SmallDateTime | DateTime2(_))
    }

    /// TYPE_INFO of a column: always the nullable form of a type.
    pub(crate) fn info(&self, out: &mut Vec<u8>) {
        let wide = |n: &Length| n.map_or(0xFFFF, |n| n * 2);
        match self {
            Type::Bit => out.extend([0x68, 1]),
            Type::TinyInt => out.extend([0x26, 1]),
            Type::SmallInt => out.extend([0x26, 2]),
            Type::Int => out.extend([0x26, 4]),
            Type::BigInt => out.extend([0x26, 8]),
            Type::Decimal(p, s) => out.extend([0x6A, magnitude(*p) as u8 + 1, *p, *s]),
            Type::Numeric(p, s) => out.extend([0x6C, magnitude(*p) as u8 + 1, *p, *s]),
            Type::Money => out.extend([0x6E, 8]),
            Type::SmallMoney => out.extend([0x6E, 4]),
            Type::Real => out.extend([0x6D, 4]),
            Type::Float => out.extend([0x6D, 8]),
            Type::Char(n) => sized(out, 0xAF, *n, true),
            Type::VarChar(n) => sized(out, 0xA7, n.unwrap_or(0xFFFF), true),
            Type::NChar(n) => sized(out, 0xEF, n * 2, true),
            Type::NVarChar(n) => sized(out, 0xE7, wide(n), true),
            Type::Binary(n) => sized(out, 0xAD, *n, false),
            Type::RowVersion => sized(out, 0xAD, 8, false),
            Type::VarBinary(n) => sized(out, 0xA5, n.unwrap_or(0xFFFF), false),
            Type::Text => long(out, 0x23, 0x7FFF_FFFF, true),
            Type::NText => long(out, 0x63, 0x7FFF_FFFE, true),
            Type::Image => long(out, 0x22, 0x7FFF_FFFF, false),
            Type::Variant => long(out, 0x62, 8009, false),
            Type::Date => out.push(0x28),
            Type::Time(s) => out.extend([0x29, *s]),
            Type::DateTime2(s) => out.extend([0x2A, *s]),
            Type::DateTimeOffset(s) => out.extend([0x2B, *s]),
            Type::DateTime => out.extend([0x6F, 8]),
            Type::SmallDateTime => out.extend([0x6F, 4]),
            Type::UniqueIdentifier => out.extend([0x24, 16]),
            Type::Xml => out.extend([0xF1, 0]),
            Type::Udt(udt) => {
                out.push(0xF0);
                out.extend(if *udt == Udt::HierarchyId { 892_u16 } else { 0xFFFF }.to_le_bytes());
                for name in ["rcm", "sys", udt.name()] {
                    put_b_varchar(out, name);
                }
                put_us_varchar(out, &udt.assembly());
            }
        }
    }
}

pub(crate) fn sized(out: &mut Vec<u8>, token: u8, bytes: u16, collation: bool) {
    out.push(token);
    out.extend(bytes.to_le_bytes());
    out.extend(COLLATION.iter().filter(|_| collation));
}

pub(crate) fn long(out: &mut Vec<u8>, token: u8, bytes: u32, collation: bool) {
    out.push(token);
    out.extend(bytes.to_le_bytes());
    out.extend(COLLATION.iter().filter(|_| collation));
}
