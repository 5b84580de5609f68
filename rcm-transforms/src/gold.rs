//! The gold layer as data: models in SQL, in the order in which they are built.
//!
//! A model reads `silver.<table>` (current rows, and only the columns that the tags let through), other gold models, and
//! `run.clock` (one row: `as_of`, and its day as `today`). Every model ends in a total ORDER BY, so that the same data
//! give the same bytes. Every dimension has the unknown member, so that no fact is lost in a join and no sum hides what
//! met nothing.

/// Key of the unknown member of every dimension. A real key holds a slash or is a code of the source.
pub const UNKNOWN: &str = "unknown";

/// A gold table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Model {
    /// Its folder under `gold/`.
    pub name: &'static str,
    /// The query, for an analyst to read.
    pub sql: &'static str,
    /// Silver tables that it reads.
    pub silver: &'static [&'static str],
    /// Gold models that it reads, all earlier in [`MODELS`].
    pub gold: &'static [&'static str],
    /// The grain: no two rows agree in these columns.
    pub grain: &'static [&'static str],
    /// Whether the result depends on the run's instant; it then carries `as_of`.
    pub dated: bool,
    /// Sums that must agree: `(column, table, column)`, the table in silver or gold.
    pub totals: &'static [(&'static str, &'static str, &'static str)],
    /// For a fact: what it holds and what it meets.
    pub fact: Option<Fact>,
}

/// What a fact table promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fact {
    /// The silver table with one row for each of its rows.
    pub of: &'static str,
    /// Foreign key column → dimension.
    pub dimensions: &'static [(&'static str, &'static str)],
}

macro_rules! sql {
    ($name:literal) => {
        include_str!(concat!("gold/", $name, ".sql"))
    };
}

const FACT: &str = "gold.fact_transactions";
const PATIENT: (&str, &str) = ("patient_key", "dim_patient");
const PROVIDER: (&str, &str) = ("provider_key", "dim_provider");
const DEPARTMENT: (&str, &str) = ("department_key", "dim_department");
const CPT: (&str, &str) = ("cpt_code", "dim_cpt_code");

/// All models; each reads only what stands before it.
pub const MODELS: &[Model] = &[
    Model {
        name: "dim_department",
        sql: sql!("dim_department"),
        silver: &["departments"],
        gold: &[],
        grain: &["department_key"],
        dated: false,
        totals: &[],
        fact: None,
    },
    Model {
        name: "dim_provider",
        sql: sql!("dim_provider"),
        silver: &["providers"],
        gold: &["dim_department"],
        grain: &["provider_key"],
        dated: false,
        totals: &[],
        fact: None,
    },
    Model {
        name: "dim_patient",
        sql: sql!("dim_patient"),
        silver: &["patients"],
        gold: &[],
        grain: &["patient_key"],
        dated: false,
        totals: &[],
        fact: None,
    },
    Model {
        name: "dim_cpt_code",
        sql: sql!("dim_cpt_code"),
        silver: &["cpt_codes"],
        gold: &[],
        grain: &["cpt_code"],
        dated: false,
        totals: &[],
        fact: None,
    },
    Model {
        name: "dim_icd_code",
        sql: sql!("dim_icd_code"),
        silver: &["icd_codes"],
        gold: &[],
        grain: &["icd_code"],
        dated: false,
        totals: &[],
        fact: None,
    },
    Model {
        name: "dim_npi",
        sql: sql!("dim_npi"),
        silver: &["npi_registry"],
        gold: &[],
        grain: &["npi"],
        dated: false,
        totals: &[],
        fact: None,
    },
    Model {
        name: "fact_encounters",
        sql: sql!("fact_encounters"),
        silver: &["encounters"],
        gold: &["dim_patient", "dim_provider", "dim_department", "dim_cpt_code"],
        grain: &["encounter_key"],
        dated: false,
        totals: &[],
        fact: Some(Fact { of: "encounters", dimensions: &[PATIENT, PROVIDER, DEPARTMENT, CPT] }),
    },
    Model {
        name: "fact_transactions",
        sql: sql!("fact_transactions"),
        silver: &["transactions"],
        gold: &["dim_patient", "dim_provider", "dim_department", "dim_cpt_code"],
        grain: &["transaction_key"],
        dated: false,
        totals: &[("amount", "silver.transactions", "amount"), ("paid_amount", "silver.transactions", "paid_amount")],
        fact: Some(Fact { of: "transactions", dimensions: &[PATIENT, PROVIDER, DEPARTMENT, CPT] }),
    },
    Model {
        name: "fact_claims",
        sql: sql!("fact_claims"),
        silver: &["claims"],
        gold: &["dim_patient", "dim_provider", "dim_department"],
        grain: &["claim_key"],
        dated: false,
        totals: &[("claim_amount", "silver.claims", "claim_amount"), ("paid_amount", "silver.claims", "paid_amount")],
        fact: Some(Fact { of: "claims", dimensions: &[PATIENT, PROVIDER, DEPARTMENT] }),
    },
    Model {
        name: "kpi_provider_charges",
        sql: sql!("kpi_provider_charges"),
        silver: &[],
        gold: &["fact_transactions", "dim_provider", "dim_department"],
        grain: &["provider", "department"],
        dated: false,
        totals: &[("amount", FACT, "amount")],
        fact: None,
    },
    Model {
        name: "kpi_provider_month",
        sql: sql!("kpi_provider_month"),
        silver: &[],
        gold: &["fact_transactions", "dim_provider", "dim_department"],
        grain: &["provider", "department", "month"],
        dated: false,
        totals: &[("amount", FACT, "amount"), ("paid_amount", FACT, "paid_amount")],
        fact: None,
    },
    Model {
        name: "kpi_department_charges",
        sql: sql!("kpi_department_charges"),
        silver: &[],
        gold: &["fact_transactions", "dim_department"],
        grain: &["department"],
        dated: false,
        totals: &[("amount", FACT, "amount"), ("paid_amount", FACT, "paid_amount")],
        fact: None,
    },
    Model {
        name: "kpi_ar_aging",
        sql: sql!("kpi_ar_aging"),
        silver: &[],
        gold: &["fact_transactions"],
        grain: &["band"],
        dated: true,
        totals: &[],
        fact: None,
    },
    Model {
        name: "kpi_denials",
        sql: sql!("kpi_denials"),
        silver: &[],
        gold: &["fact_claims"],
        grain: &["payer"],
        dated: false,
        totals: &[],
        fact: None,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_model_reads_what_it_says_and_only_what_stands_before_it() {
        let mut before = BTreeSet::new();
        for model in MODELS {
            let named = |prefix: &str| -> BTreeSet<String> {
                let code: String =
                    model.sql.lines().filter(|l| !l.trim_start().starts_with("--")).collect::<Vec<_>>().join("\n");
                let words = code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.'));
                words.filter_map(|w| w.strip_prefix(prefix)).map(str::to_owned).collect()
            };
            let said = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<BTreeSet<_>>();
            assert_eq!(named("silver."), said(model.silver), "{}", model.name);
            assert_eq!(named("gold."), said(model.gold), "{}", model.name);
            assert_eq!(!named("run.").is_empty(), model.dated, "{}", model.name);
            assert!(model.gold.iter().all(|g| before.contains(g)), "{}", model.name);
            assert!(model.sql.contains("ORDER BY"), "{}", model.name);
            before.insert(model.name);
        }
    }
}
