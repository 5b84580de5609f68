//! The columns of a provider, of both shapes in which the registry has shown its records.
//! <https://npiregistry.cms.hhs.gov/help-api/json-conversion>

use crate::http::records::{Column, Of, text};
use serde_json::Value;

/// What the registry writes where there is nothing.
const NOTHING: &str = "--";

fn told(value: Option<&Value>) -> Option<String> {
    text(value).filter(|text| text != NOTHING)
}

fn basic(record: &Value, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| told(record.get("basic")?.get(name)))
}

/// Of the place where somebody works.
fn location(record: &Value, name: &str) -> Option<String> {
    let addresses = record.get("addresses")?.as_array()?;
    let is_one = |address: &&Value| address.get("address_purpose").and_then(Value::as_str) == Some("LOCATION");
    told(addresses.iter().find(is_one).or(addresses.first())?.get(name))
}

/// Of the primary taxonomy, or the first.
fn taxonomy(record: &Value, name: &str) -> Option<String> {
    let taxonomies = record.get("taxonomies")?.as_array()?;
    let is_primary = |taxonomy: &&Value| taxonomy.get("primary").and_then(Value::as_bool) == Some(true);
    told(taxonomies.iter().find(is_primary).or(taxonomies.first())?.get(name))
}

macro_rules! columns {
    ($($name:literal $of:ident $at:expr;)*) => { &[$(Column { name: $name, of: Of::$of, at: $at }),*] };
}

/// The key and what tells when a record changed.
pub(super) const NPI: &str = "npi";
pub(super) const LAST_UPDATED: &str = "last_updated";

pub(super) const COLUMNS: &[Column] = columns! {
    "npi" Key |r| told(r.get("number"));
    "enumeration_type" Text |r| told(r.get("enumeration_type"));
    "status" Text |r| basic(r, &["status"]);
    "name_prefix" Text |r| basic(r, &["name_prefix"]);
    "first_name" Text |r| basic(r, &["first_name"]);
    "middle_name" Text |r| basic(r, &["middle_name"]);
    "last_name" Text |r| basic(r, &["last_name"]);
    "name_suffix" Text |r| basic(r, &["name_suffix"]);
    "credential" Text |r| basic(r, &["credential"]);
    "sex" Text |r| basic(r, &["sex", "gender"]);
    "sole_proprietor" Text |r| basic(r, &["sole_proprietor"]);
    "organization_name" Text |r| basic(r, &["organization_name"]);
    "parent_organization" Text |r| basic(r, &["parent_organization_legal_business_name"]);
    "taxonomy_code" Text |r| taxonomy(r, "code");
    "taxonomy_description" Text |r| taxonomy(r, "desc");
    "license" Text |r| taxonomy(r, "license");
    "license_state" Text |r| taxonomy(r, "state");
    "address_1" Text |r| location(r, "address_1");
    "address_2" Text |r| location(r, "address_2");
    "city" Text |r| location(r, "city");
    "state" Text |r| location(r, "state");
    "postal_code" Text |r| location(r, "postal_code");
    "country_code" Text |r| location(r, "country_code");
    "telephone_number" Text |r| location(r, "telephone_number");
    "enumeration_date" Date |r| basic(r, &["enumeration_date"]);
    "deactivation_date" Date |r| basic(r, &["deactivation_date"]);
    "reactivation_date" Date |r| basic(r, &["reactivation_date"]);
    "replacement_npi" Text |r| basic(r, &["replacement_npi"]);
    "last_updated" Epoch |r| told(r.get("last_updated_epoch"));
    "record" Text |r| Some(r.to_string());
};
