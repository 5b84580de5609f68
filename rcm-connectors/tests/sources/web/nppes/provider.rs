//! Made-up providers, and the shapes in which the registry shows them.

use crate::web::made_up::{Dice, check_digit};
use serde_json::{Map, Value, json};

/// How records look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Epochs in seconds and the number as numbers, `gender`.
    Of2019,
    /// All as text, epochs in milliseconds, `sex`, `--` for what is not there, and nulls.
    Of2026,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Person { first: String, last: String, sex: char },
    Organization { name: String, other: Option<String> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taxonomy {
    pub(crate) code: String,
    pub(crate) desc: String,
    pub(crate) state: Option<String>,
    pub(crate) license: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// LOCATION or MAILING.
    pub(crate) purpose: &'static str,
    pub(crate) street: String,
    pub(crate) city: String,
    pub(crate) state: String,
    /// 5 or 9 digits.
    pub(crate) postal_code: String,
    pub(crate) country: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Provider {
    pub(crate) number: String,
    pub(crate) kind: Kind,
    /// In seconds.
    pub(crate) created: i64,
    /// In milliseconds, as the registry counts today.
    pub(crate) updated: i64,
    pub(crate) is_active: bool,
    pub(crate) addresses: Vec<Address>,
    /// The first is the primary one.
    pub(crate) taxonomies: Vec<Taxonomy>,
    /// What else its record says at the top: keys that a client does not know.
    pub(crate) extra: Map<String, Value>,
}

const STATES: [(&str, &str); 6] =
    [("MD", "212"), ("NY", "100"), ("CA", "902"), ("TX", "733"), ("WA", "981"), ("FL", "331")];

/// Codes in the shape of NUCC's with descriptions that are ours.
const TAXONOMIES: [(&str, &str); 5] = [
    ("999A00001X", "Made-up Medicine"),
    ("999A00002X", "Made-up Medicine, Heart"),
    ("999B00001X", "Made-up Nurse"),
    ("999C00001X", "Made-up Dentist"),
    ("999D00001X", "Made-up Surgery"),
];
const ORGANIZATION: (&str, &str) = ("999H00001X", "Made-up Hospital");

impl Provider {
    /// Somebody who does not exist. `place` makes the number, so that no two are equal.
    pub(crate) fn made_up(seed: u64, place: usize) -> Provider {
        let mut dice = Dice::new(seed ^ (place as u64).wrapping_mul(0x1000_0000_01B3));
        // 7 is prime to 10^8: each place has other digits.
        let first_nine = format!("{}{:08}", 1 + dice.below(2), (place * 7 + 12_345_678) % 100_000_000);
        let number = format!("{first_nine}{}", check_digit(&first_nine));
        let created = 1_150_000_000 + dice.below(500_000_000) as i64;
        let is_person = !dice.once_in(4);
        let kind = if is_person {
            Kind::Person { first: dice.word(2), last: dice.word(3), sex: if dice.once_in(2) { 'F' } else { 'M' } }
        } else {
            let other = dice.once_in(3).then(|| format!("{} CARE", dice.word(3)));
            Kind::Organization { name: format!("{} HOSPITAL", dice.word(3)), other }
        };
        let (state, zip) = STATES[dice.below(STATES.len())];
        let mut address = |purpose, has_four: bool| Address {
            purpose,
            street: format!("{} {} ST", 1 + dice.below(999), dice.word(2)),
            city: format!("{}VILLE", dice.word(1)),
            state: state.to_owned(),
            postal_code: format!("{zip}{}", dice.digits(if has_four { 6 } else { 2 })),
            country: "US".to_owned(),
        };
        let addresses = vec![address("LOCATION", true), address("MAILING", false)];
        let of = |(code, desc): (&str, &str), is_licensed: bool, dice: &mut Dice| Taxonomy {
            code: code.to_owned(),
            desc: desc.to_owned(),
            state: is_licensed.then(|| state.to_owned()),
            license: is_licensed.then(|| format!("X{}", dice.digits(6))),
        };
        let taxonomies = if is_person {
            let first = dice.below(TAXONOMIES.len());
            let many = 1 + dice.below(2);
            (0..many).map(|n| of(TAXONOMIES[(first + n) % TAXONOMIES.len()], n == 0, &mut dice)).collect()
        } else {
            vec![of(ORGANIZATION, true, &mut dice)]
        };
        let updated = created * 1000 + dice.below(100_000_000) as i64 * 1000;
        Provider { number, kind, created, updated, is_active: true, addresses, taxonomies, extra: Map::new() }
    }

    pub(crate) fn enumeration_type(&self) -> &'static str {
        match self.kind {
            Kind::Person { .. } => "NPI-1",
            Kind::Organization { .. } => "NPI-2",
        }
    }

    /// Its record.
    pub(crate) fn record(&self, shape: Shape) -> Value {
        let is_new = shape == Shape::Of2026;
        let number_of = |seconds: i64, millis: i64| match shape {
            Shape::Of2019 => Value::from(seconds),
            Shape::Of2026 => Value::from(millis.to_string()),
        };
        let number =
            if is_new { Value::from(self.number.as_str()) } else { self.number.parse::<u64>().unwrap().into() };
        let mut record = json!({
            "number": number,
            "enumeration_type": self.enumeration_type(),
            "created_epoch": number_of(self.created, self.created * 1000),
            "last_updated_epoch": number_of(self.updated / 1000, self.updated),
            "basic": self.basic(shape),
            "other_names": self.other_names(),
            "addresses": self.addresses.iter().map(Address::record).collect::<Vec<_>>(),
            "practiceLocations": [],
            "taxonomies": self.taxonomies.iter().enumerate().map(|(n, t)| t.record(n == 0, shape)).collect::<Vec<_>>(),
            "identifiers": [],
            "endpoints": [],
        });
        record.as_object_mut().unwrap().extend(self.extra.clone());
        record
    }

    fn basic(&self, shape: Shape) -> Value {
        let day = |seconds: i64| chrono::DateTime::from_timestamp(seconds, 0).unwrap().date_naive().to_string();
        let mut basic = match &self.kind {
            Kind::Person { first, last, sex } => {
                let sex_key = if shape == Shape::Of2026 { "sex" } else { "gender" };
                json!({ "first_name": first, "last_name": last, sex_key: sex.to_string(), "sole_proprietor": "NO", "credential": "M.D." })
            }
            Kind::Organization { name, .. } => json!({
                "organization_name": name, "organizational_subpart": "NO",
                "authorized_official_first_name": "NEMO", "authorized_official_last_name": "NOBODY",
                "authorized_official_telephone_number": "4105550100",
            }),
        };
        basic["enumeration_date"] = day(self.created).into();
        basic["last_updated"] = day(self.updated / 1000).into();
        basic["status"] = if self.is_active { "A" } else { "D" }.into();
        if !self.is_active {
            basic["deactivation_date"] = day(self.updated / 1000).into();
        }
        match (&self.kind, shape) {
            (Kind::Person { .. }, Shape::Of2026) => {
                ["name_prefix", "middle_name", "name_suffix"].iter().for_each(|key| basic[*key] = "--".into());
            }
            (Kind::Person { first, last, .. }, Shape::Of2019) => basic["name"] = format!("{last} {first}").into(),
            (Kind::Organization { name, .. }, Shape::Of2019) => basic["name"] = name.as_str().into(),
            _ => {}
        }
        basic
    }

    fn other_names(&self) -> Value {
        match &self.kind {
            Kind::Organization { other: Some(other), .. } => {
                json!([{ "type": "Doing Business As", "code": "3", "organization_name": other }])
            }
            _ => json!([]),
        }
    }
}

impl Address {
    fn record(&self) -> Value {
        json!({
            "address_purpose": self.purpose, "address_type": "DOM", "address_1": self.street, "city": self.city,
            "state": self.state, "postal_code": self.postal_code, "country_code": self.country,
            "country_name": if self.country == "US" { "United States" } else { "Elsewhere" },
            "telephone_number": "410-555-0112",
        })
    }
}

impl Taxonomy {
    fn record(&self, is_primary: bool, shape: Shape) -> Value {
        let mut record = json!({
            "code": self.code, "desc": self.desc, "primary": is_primary, "state": self.state, "license": self.license,
        });
        let keys = record.as_object_mut().unwrap();
        match shape {
            Shape::Of2026 => drop(keys.insert("taxonomy_group".to_owned(), "".into())),
            // What is not there was not named.
            Shape::Of2019 => keys.retain(|_, value| !value.is_null()),
        }
        record
    }
}
