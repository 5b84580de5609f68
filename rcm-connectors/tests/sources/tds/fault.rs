//! How the server misbehaves, when a test tells it to.

use super::token::{Column, Message};
use super::types::Type;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The login gets this error.
    Login(u32),
    /// The login is sent to another port of this machine.
    Routing(u16),
    /// The next statement gets this error at once.
    Error(u32),
    /// The next statement that answers rows gets this error behind so many of them.
    ErrorBehind(u32, u64),
    /// The connection is reset behind so many bytes of the next answer.
    Cut(usize),
    /// It stands behind so many bytes of the next answer, and nothing comes any more.
    Stall(usize),
    /// The next answer is this.
    Malformed(Malformed),
}

/// Those yet to come, in order, each with a text that its statement holds. Each comes once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<VecDeque<(String, Fault)>>>);

impl Faults {
    /// The next statement that holds a text, or the next login, goes wrong.
    pub(crate) fn push(&self, of: &str, fault: Fault) {
        self.0.lock().unwrap().push_back((of.to_owned(), fault));
    }

    /// What did not come does not come any more.
    #[allow(dead_code, reason = "the program's own tests use it")]
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    fn next(&self, is_it: impl FnOnce(&(String, Fault)) -> bool) -> Option<Fault> {
        self.0.lock().unwrap().pop_front_if(|next| is_it(next)).map(|(_, fault)| fault)
    }

    /// The next one, if it is for a login.
    pub(crate) fn login(&self) -> Option<Fault> {
        self.next(|(_, fault)| matches!(fault, Fault::Login(_) | Fault::Routing(_)))
    }

    /// The next one, if it is for this statement.
    pub(crate) fn statement(&self, batch: &str) -> Option<Fault> {
        self.next(|(of, fault)| !matches!(fault, Fault::Login(_) | Fault::Routing(_)) && batch.contains(of.as_str()))
    }
}

/// What SQL Server says with its numbers.
pub(crate) fn message(number: u32) -> Message {
    let (class, text) = match number {
        102 => (15, "Incorrect syntax."),
        208 => (16, "Invalid object name."),
        1205 => (
            13,
            "Transaction (Process ID 57) was deadlocked on lock resources with another process and has been chosen as the deadlock victim. Rerun the transaction.",
        ),
        1222 => (16, "Lock request time out period exceeded."),
        3960 => (16, "Snapshot isolation transaction aborted due to update conflict."),
        4060 => (11, "Cannot open database requested by the login. The login failed."),
        300 => (14, "VIEW SERVER STATE permission was denied on object 'server', database 'master'."),
        18456 => (14, "Login failed for user."),
        40197 => (17, "The service has encountered an error processing your request. Please try again."),
        40501 => (20, "The service is currently busy. Retry the request after 10 seconds."),
        40613 => (17, "Database is not currently available. Please retry the connection later."),
        49918 => (16, "Cannot process request. Not enough resources to process request."),
        245 => (16, "Conversion failed when converting the varchar value 'Qzcanary' to data type int."),
        2601 => (14, "Cannot insert duplicate key row. The duplicate key value is (Qzcanary)."),
        _ => (16, "An error of Qzcanary."),
    };
    Message::error(number, class, text)
}

/// Token streams that no server sends. Those that a client of rustsec/advisory-db#3148's kind fell over are among them as
/// far as its source lets it be seen: lengths that go below zero, values out of their calendar, rows without columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// A ROW before any COLMETADATA.
    RowWithoutColumns,
    /// An NBCROW before any COLMETADATA.
    NbcRowWithoutColumns,
    /// No token has this number.
    UnknownToken,
    /// A type that there is not.
    UnknownType,
    /// A decimal of scale 255.
    Scale,
    /// A decimal of precision 0 and scale 0, and 16 bytes of ones.
    Magnitude,
    /// The length of a decimal is 2.
    DecimalLength,
    /// A datetimeoffset whose length is less than its date's.
    OffsetLength,
    /// A datetime2 in the year 45,900.
    Date,
    /// A time behind the end of its day.
    Time,
    /// A datetime whose time is behind the end of its day.
    DateTime,
    /// A datetimeoffset off by 22 days.
    Offset,
    /// A surrogate without its other half.
    Utf16,
    /// A length of UTF-16 that is odd.
    Odd,
    /// A column of a collation that there is not.
    Collation,
    /// A value of two gigabytes, of which nothing comes.
    Huge,
    /// A sql_variant of one byte.
    Variant,
    /// ERROR whose text is longer than the token.
    ErrorLength,
    /// ENVCHANGE of a packet size that is no number.
    PacketSize,
    /// LOGINACK of a TDS version that there is not, where none is due.
    LoginAck,
    /// COLMETADATA ends in the midst of a column, and the message with it.
    Truncated,
    /// A packet of length 3.
    PacketLength,
}

impl Malformed {
    pub(crate) const ALL: [Malformed; 22] = [
        Malformed::RowWithoutColumns,
        Malformed::NbcRowWithoutColumns,
        Malformed::UnknownToken,
        Malformed::UnknownType,
        Malformed::Scale,
        Malformed::Magnitude,
        Malformed::DecimalLength,
        Malformed::OffsetLength,
        Malformed::Date,
        Malformed::Time,
        Malformed::DateTime,
        Malformed::Offset,
        Malformed::Utf16,
        Malformed::Odd,
        Malformed::Collation,
        Malformed::Huge,
        Malformed::Variant,
        Malformed::ErrorLength,
        Malformed::PacketSize,
        Malformed::LoginAck,
        Malformed::Truncated,
        Malformed::PacketLength,
    ];

    /// The tokens. Of `PacketLength` there are none: it is not about tokens.
    pub(crate) fn tokens(self) -> Vec<u8> {
        let one = |of: Type, value: &[u8]| {
            let mut out = Vec::new();
            super::token::col_metadata(&mut out, &[Column { name: "a".into(), of, nullable: true }]);
            out.push(0xD1);
            out.extend(value);
            super::token::done(&mut out, super::token::DONE, 0x10, 0xC1, 1);
            out
        };
        let raw = |info: &[u8], value: &[u8]| {
            let mut out = vec![0x81, 1, 0, 0, 0, 0, 0, 9, 0];
            out.extend(info);
            out.extend([1, b'a', 0, 0xD1]);
            out.extend(value);
            super::token::done(&mut out, super::token::DONE, 0x10, 0xC1, 1);
            out
        };
        match self {
            Malformed::RowWithoutColumns => vec![0xD1, 4, 1, 0, 0, 0],
            Malformed::NbcRowWithoutColumns => vec![0xD2, 1],
            Malformed::UnknownToken => vec![0x01, 2, 3],
            Malformed::UnknownType => raw(&[0xFE, 4], &[4, 0, 0, 0, 0]),
            Malformed::Scale => raw(&[0x6A, 17, 38, 255], &[5, 1, 1, 0, 0, 0]),
            Malformed::Magnitude => raw(&[0x6A, 17, 0, 0], &[[17, 1].as_slice(), &[0xFF; 16]].concat()),
            Malformed::DecimalLength => one(Type::Decimal(9, 2), &[2, 1, 1]),
            Malformed::OffsetLength => one(Type::DateTimeOffset(7), &[4, 0, 0, 0, 0]),
            Malformed::Date => one(Type::DateTime2(0), &[6, 0, 0, 0, 0xFF, 0xFF, 0xFF]),
            Malformed::Time => one(Type::Time(7), &[5, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]),
            Malformed::DateTime => one(Type::DateTime, &[8, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF]),
            Malformed::Offset => one(Type::DateTimeOffset(0), &[8, 0, 0, 0, 0, 0, 8, 0xFF, 0x7F]),
            Malformed::Utf16 => one(Type::NVarChar(Some(5)), &[2, 0, 0x00, 0xD8]),
            Malformed::Odd => one(Type::NVarChar(Some(5)), &[3, 0, b'a', 0, b'b']),
            Malformed::Collation => raw(&[0xA7, 5, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0], &[1, 0, b'a']),
            Malformed::Huge => one(Type::NVarChar(None), &[0xFE, 0xFF, 0xFF, 0x7F, 0, 0, 0, 0, 0xFE, 0xFF, 0xFF, 0x7F]),
            Malformed::Variant => one(Type::Variant, &[1, 0, 0, 0, 0x38]),
            Malformed::ErrorLength => vec![0xAA, 8, 0, 1, 0, 0, 0, 1, 16, 0xFF, 0xFF],
            Malformed::PacketSize => {
                let mut out = Vec::new();
                super::token::env_text(&mut out, super::token::ENV_PACKET_SIZE, "x", "4096");
                out
            }
            Malformed::LoginAck => {
                let mut out = Vec::new();
                super::token::login_ack(&mut out, 0x1234_5678, "x", [0; 4]);
                out
            }
            Malformed::Truncated => vec![0x81, 2, 0, 0, 0, 0, 0, 9],
            Malformed::PacketLength => Vec::new(),
        }
    }
}
