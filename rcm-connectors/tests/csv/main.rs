//! CSV that people did not write to be read: each file of a corpus comes to what stands there, by one thread and by several,
//! in pieces of any size; packed and in other encodings too.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod corpus;
mod files;
mod source;
mod typed;
