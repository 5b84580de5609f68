//! A server on loopback that answers as the NPI registry and the ICD API do, or misbehaves.
#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod fault;
pub(crate) mod http;
pub(crate) mod made_up;
pub(crate) mod nppes;
pub(crate) mod vault;
pub(crate) mod who;
