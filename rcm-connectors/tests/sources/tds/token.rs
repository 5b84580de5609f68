//! Tokens of an answer (MS-TDS 2.2.7).

use super::cell::Cell;
use super::types::Type;
use super::wire::{put_b_varchar, put_us_varchar};

pub(crate) const DONE: u8 = 0xFD;
pub(crate) const DONE_PROC: u8 = 0xFE;
pub(crate) const DONE_IN_PROC: u8 = 0xFF;

pub(crate) const DONE_MORE: u16 = 0x01;
pub(crate) const DONE_ERROR: u16 = 0x02;
pub(crate) const DONE_COUNT: u16 = 0x10;
pub(crate) const DONE_ATTN: u16 = 0x20;

/// `CurCmd` of a SELECT.
pub(crate) const SELECT: u16 = 0xC1;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub name: String,
    pub of: Type,
    pub nullable: bool,
}

pub(crate) fn col_metadata(out: &mut Vec<u8>, columns: &[Column]) {
    out.push(0x81);
    out.extend((columns.len() as u16).to_le_bytes());
    for column in columns {
        let user_type: u32 = if column.of == Type::RowVersion { 80 } else { 0 };
        out.extend(user_type.to_le_bytes());
        // Whether it can be written is not known.
        out.extend((0x08 | u16::from(column.nullable)).to_le_bytes());
        column.of.info(out);
        if matches!(column.of, Type::Text | Type::NText | Type::Image) {
            out.push(1);
            put_us_varchar(out, "t");
        }
        put_b_varchar(out, &column.name);
    }
}

pub(crate) fn row(out: &mut Vec<u8>, columns: &[Column], cells: &[Cell]) {
    out.push(0xD1);
    for (column, cell) in columns.iter().zip(cells) {
        cell.put(&column.of, out);
    }
}

/// A row whose nulls are bits.
pub(crate) fn nbc_row(out: &mut Vec<u8>, columns: &[Column], cells: &[Cell]) {
    out.push(0xD2);
    let bits = cells
        .chunks(8)
        .map(|cells| cells.iter().enumerate().fold(0, |bits, (n, cell)| bits | u8::from(*cell == Cell::Null) << n));
    out.extend(bits);
    for (column, cell) in columns.iter().zip(cells).filter(|(_, cell)| **cell != Cell::Null) {
        cell.put(&column.of, out);
    }
}

/// As SQL Server chooses between the two: by which is shorter.
pub(crate) fn shorter_row(out: &mut Vec<u8>, columns: &[Column], cells: &[Cell]) {
    let null = |(column, cell): (&Column, &Cell)| match cell {
        Cell::Null if column.of.is_plp() => 8,
        Cell::Null if column.of.is_text() || column.of.is_bytes() => 2,
        Cell::Null => 1,
        _ => 0,
    };
    let saved: usize = columns.iter().zip(cells).map(null).sum();
    match saved > columns.len().div_ceil(8) {
        true => nbc_row(out, columns, cells),
        false => row(out, columns, cells),
    }
}

pub(crate) fn done(out: &mut Vec<u8>, token: u8, status: u16, command: u16, rows: u64) {
    out.push(token);
    out.extend(status.to_le_bytes());
    out.extend(command.to_le_bytes());
    out.extend(rows.to_le_bytes());
}

/// An error, or, below class 11, an information.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub number: u32,
    pub state: u8,
    pub class: u8,
    pub text: String,
}

impl Message {
    pub(crate) fn error(number: u32, class: u8, text: impl Into<String>) -> Message {
        Message { number, state: 1, class, text: text.into() }
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        let mut body = Vec::new();
        body.extend(self.number.to_le_bytes());
        body.extend([self.state, self.class]);
        put_us_varchar(&mut body, &self.text);
        put_b_varchar(&mut body, "rcm");
        put_b_varchar(&mut body, "");
        body.extend(1_u32.to_le_bytes());
        out.push(if self.class > 10 { 0xAA } else { 0xAB });
        out.extend((body.len() as u16).to_le_bytes());
        out.extend(body);
    }
}

pub(crate) fn login_ack(out: &mut Vec<u8>, tds_version: u32, program: &str, version: [u8; 4]) {
    let mut body = vec![1];
    body.extend(tds_version.to_be_bytes());
    put_b_varchar(&mut body, program);
    body.extend(version);
    out.push(0xAD);
    out.extend((body.len() as u16).to_le_bytes());
    out.extend(body);
}

pub(crate) const ENV_DATABASE: u8 = 1;
pub(crate) const ENV_LANGUAGE: u8 = 2;
pub(crate) const ENV_PACKET_SIZE: u8 = 4;
pub(crate) const ENV_COLLATION: u8 = 7;
pub(crate) const ENV_BEGIN: u8 = 8;
pub(crate) const ENV_COMMIT: u8 = 9;
pub(crate) const ENV_ROLLBACK: u8 = 10;

/// ENVCHANGE with texts.
pub(crate) fn env_text(out: &mut Vec<u8>, kind: u8, new: &str, old: &str) {
    let mut body = vec![kind];
    put_b_varchar(&mut body, new);
    put_b_varchar(&mut body, old);
    env(out, &body);
}

/// ENVCHANGE with bytes.
pub(crate) fn env_bytes(out: &mut Vec<u8>, kind: u8, new: &[u8], old: &[u8]) {
    let mut body = vec![kind];
    for value in [new, old] {
        body.push(value.len() as u8);
        body.extend(value);
    }
    env(out, &body);
}

pub(crate) fn env(out: &mut Vec<u8>, body: &[u8]) {
    out.push(0xE3);
    out.extend((body.len() as u16).to_le_bytes());
    out.extend(body);
}

/// ENVCHANGE that sends a client elsewhere.
pub(crate) fn routing(out: &mut Vec<u8>, host: &str, port: u16) {
    let mut value = vec![0];
    value.extend(port.to_le_bytes());
    put_us_varchar(&mut value, host);
    let mut body = vec![20];
    body.extend((value.len() as u16).to_le_bytes());
    body.extend(value);
    body.extend([0, 0]);
    env(out, &body);
}

/// FEATUREEXTACK of a federated login, with the nonce's place where there is one.
pub(crate) fn fed_auth_ack(out: &mut Vec<u8>, nonce: Option<[u8; 32]>) {
    out.extend([0xAE, 0x02]);
    out.extend(nonce.map_or(0, |_| 32_u32).to_le_bytes());
    out.extend(nonce.iter().flatten());
    out.push(0xFF);
}

pub(crate) fn return_status(out: &mut Vec<u8>, status: i32) {
    out.push(0x79);
    out.extend(status.to_le_bytes());
}
