//! A SQL Server for the tests: it speaks TDS 7.4 and 8.0 as MS-TDS has it, and runs the T-SQL that arrives on PostgreSQL. No text
//! is canned: a statement is parsed by a parser of others, written anew, and refused with SQL Server's own error where it is not
//! understood. What it is not: SQL Server. Locks are PostgreSQL's, and so is what an error does to a transaction.

pub(crate) mod catalog;
pub(crate) mod cell;
pub(crate) mod engine;
mod expression;
pub(crate) mod fault;
mod function;
pub(crate) mod login;
pub(crate) mod packet;
pub(crate) mod prelogin;
pub(crate) mod rpc;
pub(crate) mod server;
pub(crate) mod session;
pub(crate) mod storage;
pub(crate) mod tls;
pub(crate) mod token;
pub(crate) mod translate;
pub(crate) mod types;
pub(crate) mod value;
pub(crate) mod wire;
mod write;
