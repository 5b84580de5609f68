//! Codes of diagnoses: ICD-10-CM out of the order files of CMS ([`OrderFiles`]), which is what claims in the United States need,
//! and ICD-10 out of the API of the WHO ([`Who`]). No text of either is part of this project.
//!
//! Both keep the hierarchy. Of ICD-10-CM several releases stand side by side, each with the days on which it is in force.

mod order;
mod token;
mod walked;
mod who;

pub use order::OrderFiles;
pub use who::{Client, Options, Who};
