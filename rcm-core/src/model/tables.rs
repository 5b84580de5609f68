//! The tables, column by column.

use super::{Column, Kind, Role, Table, Tag};

const fn col(name: &'static str, kind: Kind, tag: Tag, role: Role) -> Column {
    Column { name, kind, tag, role, required: None }
}

const fn text(name: &'static str, tag: Tag) -> Column {
    col(name, Kind::Text, tag, Role::Attribute)
}

const fn date(name: &'static str, tag: Tag) -> Column {
    col(name, Kind::Date, tag, Role::Attribute)
}

const fn money(name: &'static str) -> Column {
    col(name, Kind::Money, Tag::Financial, Role::Attribute)
}

const fn key(name: &'static str, tag: Tag) -> Column {
    Column { required: Some("G2"), ..col(name, Kind::Text, tag, Role::Key) }
}

const fn refers(name: &'static str, tag: Tag) -> Column {
    col(name, Kind::Text, tag, Role::Reference)
}

/// A table without its modified date has no valid time: the row cannot enter history.
const MODIFIED: Column =
    Column { required: Some("G2"), ..col("modified_date", Kind::Date, Tag::None, Role::Watermark) };
const INSERTED: Column = col("inserted_date", Kind::Date, Tag::None, Role::Inserted);

const fn required(rule: &'static str, column: Column) -> Column {
    Column { required: Some(rule), ..column }
}

/// All tables, in the order in which a run merges and shows them.
pub const TABLES: &[Table] = &[
    Table {
        name: "departments",
        by_hospital: true,
        columns: &[key("department_id", Tag::None), required("N1", text("name", Tag::None))],
    },
    Table {
        name: "providers",
        by_hospital: true,
        columns: &[
            key("provider_id", Tag::None),
            text("first_name", Tag::None),
            text("last_name", Tag::None),
            text("specialization", Tag::None),
            refers("department_id", Tag::None),
            text("npi", Tag::None),
        ],
    },
    Table {
        name: "patients",
        by_hospital: true,
        columns: &[
            key("patient_id", Tag::PhiDirect),
            required("P1", text("first_name", Tag::PhiDirect)),
            required("P1", text("last_name", Tag::PhiDirect)),
            text("middle_name", Tag::PhiDirect),
            text("ssn", Tag::PhiDirect),
            text("phone_number", Tag::PhiDirect),
            text("gender", Tag::PhiQuasi),
            required("P1", date("date_of_birth", Tag::PhiQuasi)),
            text("address", Tag::PhiDirect),
            MODIFIED,
        ],
    },
    Table {
        name: "encounters",
        by_hospital: true,
        columns: &[
            key("encounter_id", Tag::PhiQuasi),
            refers("patient_id", Tag::PhiDirect),
            date("encounter_date", Tag::PhiQuasi),
            text("encounter_type", Tag::None),
            refers("provider_id", Tag::None),
            refers("department_id", Tag::None),
            text("procedure_code", Tag::PhiQuasi),
            INSERTED,
            MODIFIED,
        ],
    },
    Table {
        name: "transactions",
        by_hospital: true,
        columns: &[
            key("transaction_id", Tag::PhiQuasi),
            refers("encounter_id", Tag::PhiQuasi),
            refers("patient_id", Tag::PhiDirect),
            refers("provider_id", Tag::None),
            refers("department_id", Tag::None),
            date("visit_date", Tag::PhiQuasi),
            date("service_date", Tag::PhiQuasi),
            date("paid_date", Tag::PhiQuasi),
            text("visit_type", Tag::None),
            money("amount"),
            text("amount_type", Tag::Financial),
            money("paid_amount"),
            text("claim_id", Tag::PhiQuasi),
            text("payor_id", Tag::Financial),
            text("procedure_code", Tag::PhiQuasi),
            text("icd_code", Tag::PhiQuasi),
            text("line_of_business", Tag::Financial),
            text("medicaid_id", Tag::PhiDirect),
            text("medicare_id", Tag::PhiDirect),
            INSERTED,
            MODIFIED,
        ],
    },
    Table {
        name: "claims",
        by_hospital: true,
        columns: &[
            key("claim_id", Tag::PhiQuasi),
            refers("transaction_id", Tag::PhiQuasi),
            refers("patient_id", Tag::PhiDirect),
            refers("encounter_id", Tag::PhiQuasi),
            refers("provider_id", Tag::None),
            refers("department_id", Tag::None),
            date("service_date", Tag::PhiQuasi),
            date("claim_date", Tag::PhiQuasi),
            text("payor_id", Tag::Financial),
            money("claim_amount"),
            money("paid_amount"),
            text("claim_status", Tag::Financial),
            text("payor_type", Tag::Financial),
            money("deductible"),
            money("coinsurance"),
            money("copay"),
            INSERTED,
            MODIFIED,
        ],
    },
    Table {
        name: "cpt_codes",
        by_hospital: false,
        columns: &[
            key("cpt_code", Tag::None),
            text("category", Tag::None),
            required("N1", text("description", Tag::Licensed)),
            text("status", Tag::None),
        ],
    },
    Table {
        name: "icd_codes",
        by_hospital: false,
        columns: &[
            key("icd_code", Tag::None),
            required("N1", text("description", Tag::Licensed)),
            text("is_billable", Tag::None),
            refers("parent_code", Tag::None),
            text("category", Tag::None),
            text("code_system", Tag::None),
            text("release", Tag::None),
        ],
    },
    Table {
        name: "npi_registry",
        by_hospital: false,
        columns: &[
            key("npi", Tag::None),
            text("enumeration_type", Tag::None),
            text("status", Tag::None),
            text("first_name", Tag::None),
            text("last_name", Tag::None),
            text("organization_name", Tag::None),
            text("credential", Tag::None),
            text("taxonomy_code", Tag::None),
            text("city", Tag::None),
            text("state", Tag::None),
            text("postal_code", Tag::None),
            date("deactivation_date", Tag::None),
            MODIFIED,
        ],
    },
];
