//! The program and the library from outside. One binary, because each links Delta and DataFusion.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, missing_docs)]

mod apis;
mod append;
mod audit;
mod bad_config;
mod bad_input;
mod canaries;
mod cloud;
#[path = "../../../rcm-connectors/tests/components/mod.rs"]
mod components;
mod crash;
mod csv;
mod damage;
mod databases;
mod deletes;
mod demo;
mod every_source;
mod faulty;
mod foreign;
mod gate;
mod hospitals;
mod late;
#[allow(dead_code, reason = "the connector's own tests use the rest")]
#[path = "../../../rcm-connectors/tests/sources/line.rs"]
mod line;
mod maintain;
#[cfg(target_os = "linux")]
mod mounts;
mod replay;
mod same_bytes;
#[allow(dead_code, reason = "the connector's own tests use the rest")]
#[path = "../../../rcm-connectors/tests/sources/server.rs"]
mod server;
#[allow(dead_code, reason = "the lake's own tests use the rest")]
#[path = "../../../rcm-connectors/tests/it/services.rs"]
mod services;
mod sqlserver;
mod support;
#[allow(dead_code, reason = "the connector's own tests use the rest")]
#[path = "../../../rcm-connectors/tests/sources/tds/mod.rs"]
mod tds;
mod unharmed;
mod vault;
mod watched;
#[allow(unused_imports, reason = "the connectors' own tests use the rest")]
#[path = "../../../rcm-connectors/tests/sources/web/mod.rs"]
mod web;

use support::wait;
