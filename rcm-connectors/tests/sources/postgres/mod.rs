//! PostgreSQL, the real server.

mod contract;
mod faults;
mod types;
mod windows;
