//! From T-SQL to what PostgreSQL runs. The parser is sqlparser's, in its dialect of SQL Server.
//!
//! Nothing is passed on as it stands: of each statement what is understood is written anew (`translate`), and whatever is
//! not understood is error 102, as a word that SQL Server does not know. The rules:
//! - Names are looked up in the catalog without regard to case, and written in quotes as they were declared.
//! - `TOP (n)` and `OFFSET … FETCH` become LIMIT and OFFSET. Nulls sort first, as SQL Server sorts them.
//! - Parameters and literals are values of a type of SQL Server, and are written as the literals they are stored as. Where
//!   two types meet, the lower becomes the higher one, as SQL Server's precedence has it.
//! - A `SET` of a session option is taken note of; LOCK_TIMEOUT and the isolation level have an effect: SNAPSHOT is
//!   PostgreSQL's REPEATABLE READ.
//! - CREATE TABLE records what was declared, from which the views of `sys` and `INFORMATION_SCHEMA` tell.

use super::catalog::Catalog;
use super::fault::message;
use super::rpc::Parameter;
use super::token::{Column, Message};
use super::translate::Translator;
use sqlparser::ast::{Set, Statement, TransactionIsolationLevel, TransactionMode};
use sqlparser::dialect::MsSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer};
use tokio_postgres::error::SqlState;

/// What a statement comes to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    Rows {
        sql: String,
        columns: Vec<Column>,
    },
    /// Rows are written.
    Count {
        sql: String,
        command: u16,
    },
    /// Something without rows.
    Run(String),
    Begin,
    Commit,
    Rollback,
    Isolation(&'static str),
    Nothing,
}

/// A statement as it was parsed, or an option.
#[derive(Debug, Clone)]
pub(crate) enum Parsed {
    Statement(Box<Statement>),
    Option { name: String, value: String },
}

pub(crate) fn syntax(near: &str) -> Message {
    Message::error(102, 15, format!("Incorrect syntax near '{}'.", near.chars().take(100).collect::<String>()))
}

/// The statements of a batch.
pub(crate) fn parse(batch: &str) -> Result<Vec<Parsed>, Message> {
    let dialect = MsSqlDialect {};
    let tokens =
        Tokenizer::new(&dialect, batch).tokenize_with_location().map_err(|error| syntax(&error.to_string()))?;
    let mut parsed = Vec::new();
    let mut parser = Parser::new(&dialect).with_tokens_with_locations(tokens);
    loop {
        while parser.consume_token(&Token::SemiColon) {}
        if parser.peek_token().token == Token::EOF {
            return Ok(parsed);
        }
        if let Some((name, value)) = option(&mut parser) {
            parsed.push(Parsed::Option { name, value });
            continue;
        }
        let statement = parser.parse_statement().map_err(|error| syntax(&error.to_string()))?;
        parsed.push(Parsed::Statement(Box::new(statement)));
    }
}

/// `SET name value`, which sqlparser does not have: words, and a number or a word behind them.
pub(crate) fn option(parser: &mut Parser<'_>) -> Option<(String, String)> {
    let word = |token: &Token| match token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_ascii_uppercase()),
        _ => None,
    };
    let at = |parser: &Parser<'_>, n: usize| parser.peek_nth_token(n).token;
    if word(&at(parser, 0))? != "SET" {
        return None;
    }
    let mut name = word(&at(parser, 1))?;
    if name == "TRANSACTION" {
        return None;
    }
    let mut next = 2;
    // SET ANSI_NULLS, QUOTED_IDENTIFIER ON
    while at(parser, next) == Token::Comma {
        name = format!("{name},{}", word(&at(parser, next + 1))?);
        next += 2;
    }
    let sign = if at(parser, next) == Token::Minus { "-" } else { "" };
    next += sign.len();
    let value = match at(parser, next) {
        Token::Number(number, _) => number,
        token if sign.is_empty() => word(&token)?,
        _ => return None,
    };
    (0..=next).for_each(|_| parser.advance_token());
    Some((name, format!("{sign}{value}")))
}

/// The options that drivers set at the start of a session, and those that have an effect.
pub(crate) const OPTIONS: [&str; 18] = [
    "ANSI_DEFAULTS",
    "ANSI_NULLS",
    "ANSI_NULL_DFLT_ON",
    "ANSI_PADDING",
    "ANSI_WARNINGS",
    "ARITHABORT",
    "CONCAT_NULL_YIELDS_NULL",
    "CURSOR_CLOSE_ON_COMMIT",
    "DATEFIRST",
    "DATEFORMAT",
    "IMPLICIT_TRANSACTIONS",
    "LANGUAGE",
    "LOCK_TIMEOUT",
    "NOCOUNT",
    "NUMERIC_ROUNDABORT",
    "QUOTED_IDENTIFIER",
    "ROWCOUNT",
    "TEXTSIZE",
];

pub(crate) fn plan(parsed: &Parsed, catalog: &Catalog, parameters: &[Parameter]) -> Result<Step, Message> {
    match parsed {
        Parsed::Option { name, value } => {
            if let Some(unknown) = name
                .split(',')
                .find(|name| !OPTIONS.contains(name) && !matches!(*name, "XACT_ABORT" | "DEADLOCK_PRIORITY"))
            {
                return Err(Message::error(195, 15, format!("'{unknown}' is not a recognized SET option.")));
            }
            match (name.as_str(), value.parse::<i64>()) {
                // None at all is -1, and 0 is not to wait; PostgreSQL has it the other way about.
                ("LOCK_TIMEOUT", Ok(-1)) => Ok(Step::Run("SET lock_timeout = 0".into())),
                ("LOCK_TIMEOUT", Ok(ms)) if ms >= 0 => Ok(Step::Run(format!("SET lock_timeout = {}", ms.max(1)))),
                ("LOCK_TIMEOUT", _) => Err(syntax(value)),
                // Whoever has these set to something else gets other rows.
                ("ROWCOUNT", Ok(0)) => Ok(Step::Nothing),
                ("ROWCOUNT", _) => Err(syntax("ROWCOUNT")),
                ("IMPLICIT_TRANSACTIONS", _) if value != "OFF" => Err(syntax(name)),
                _ => Ok(Step::Nothing),
            }
        }
        Parsed::Statement(statement) => match statement.as_ref() {
            Statement::Query(query) => {
                let (sql, columns) = Translator::new(catalog, parameters).query(query)?;
                Ok(Step::Rows { sql, columns })
            }
            Statement::Set(Set::SetTransaction { modes, snapshot: None, session: false }) => match modes.as_slice() {
                [TransactionMode::IsolationLevel(level)] => Ok(Step::Isolation(match level {
                    TransactionIsolationLevel::ReadUncommitted => "READ UNCOMMITTED",
                    TransactionIsolationLevel::ReadCommitted => "READ COMMITTED",
                    TransactionIsolationLevel::RepeatableRead | TransactionIsolationLevel::Snapshot => {
                        "REPEATABLE READ"
                    }
                    TransactionIsolationLevel::Serializable => "SERIALIZABLE",
                })),
                _ => Err(syntax("TRANSACTION")),
            },
            // A transaction has to be named as one: BEGIN alone starts a block.
            Statement::StartTransaction { modes, transaction: Some(_), modifier: None, statements, .. }
                if modes.is_empty() && statements.is_empty() =>
            {
                Ok(Step::Begin)
            }
            Statement::Commit { chain: false, modifier: None, .. } => Ok(Step::Commit),
            Statement::Rollback { chain: false, savepoint: None } => Ok(Step::Rollback),
            other => Translator::new(catalog, parameters).write(other),
        },
    }
}

/// An error of PostgreSQL as SQL Server has it.
pub(crate) fn told(error: &tokio_postgres::Error) -> Message {
    let Some(db) = error.as_db_error() else { return Message::error(596, 21, error.to_string()) };
    let code = db.code();
    let known = if *code == SqlState::INVALID_PARAMETER_VALUE {
        9820
    } else if *code == SqlState::T_R_SERIALIZATION_FAILURE {
        3960
    } else if *code == SqlState::T_R_DEADLOCK_DETECTED {
        1205
    } else if *code == SqlState::LOCK_NOT_AVAILABLE {
        1222
    } else if *code == SqlState::UNIQUE_VIOLATION {
        2627
    } else if *code == SqlState::NOT_NULL_VIOLATION {
        515
    } else if *code == SqlState::NUMERIC_VALUE_OUT_OF_RANGE {
        8115
    } else if *code == SqlState::DIVISION_BY_ZERO {
        8134
    } else if *code == SqlState::STRING_DATA_RIGHT_TRUNCATION {
        2628
    } else {
        50000
    };
    Message { text: format!("{} ({})", db.message(), code.code()), ..message(known) }
}
