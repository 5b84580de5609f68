//! Words that nobody bears.

use super::random::Random;

const FIRST: [&str; 12] =
    ["Zan", "Vex", "Quil", "Brov", "Plim", "Trod", "Glim", "Smerv", "Wob", "Yosk", "Krel", "Dorv"];
const FIRST_END: [&str; 12] = ["ilo", "ock", "une", "aby", "ix", "oom", "etta", "ard", "iki", "ulo", "anth", "ero"];
const LAST: [&str; 12] = [
    "Tumble", "Quag", "Fizzle", "Marrow", "Pebble", "Snorkle", "Gadget", "Wimble", "Brindle", "Crumpet", "Thistle",
    "Doodle",
];
const LAST_END: [&str; 12] =
    ["wick", "thorpe", "mire", "snap", "bury", "crank", "foot", "moss", "spoon", "latch", "hollow", "burrow"];
const STREETS: [&str; 10] = [
    "Wobble Lane",
    "Custard Street",
    "Teapot Row",
    "Marble Steps",
    "Kettle Court",
    "Lantern Mews",
    "Biscuit Way",
    "Sprocket Road",
    "Pickle Square",
    "Bobbin Hill",
];
const TOWNS: [&str; 6] = ["Nowhereton", "Quagford", "Upper Fizzle", "Plimstow", "Mossmere", "Far Tumble"];

/// Payers, and what they are. The place of a payer is its number in transactions.
pub(super) const PAYERS: [(&str, &str); 6] = [
    ("Northwind Health", "Private"),
    ("Civic Aid", "Government"),
    ("Bluefern Mutual", "Private"),
    ("Elder Shield Fund", "Government"),
    ("Gramble Life", "Private"),
    ("Own Pocket", "Self-pay"),
];

pub(super) const STATUSES: [&str; 5] = ["Pending", "Approved", "Rejected", "Paid", "Denied"];
pub(super) const ENCOUNTER_TYPES: [&str; 5] =
    ["Inpatient", "Outpatient", "Emergency", "Telemedicine", "Routine Checkup"];
pub(super) const VISIT_TYPES: [&str; 4] = ["Routine", "Follow-up", "Emergency", "Consultation"];
pub(super) const AMOUNT_TYPES: [&str; 5] = ["Co-pay", "Insurance", "Self-pay", "Medicaid", "Medicare"];
pub(super) const BUSINESS: [&str; 4] = ["Commercial", "Medicaid", "Medicare", "Self-Pay"];

/// What is done, and to what: together the descriptions of forty codes.
pub(super) const DEEDS: [&str; 5] = ["Inspection", "Mending", "Polishing", "Weighing", "Tuning"];
pub(super) const THINGS: [&str; 8] = [
    "of one wobble joint",
    "of two wobble joints, same session",
    "of the inner spring",
    "of the outer spring, with a new hinge",
    "of the hum",
    "of the hum, each further minute",
    "of the small dial",
    "of the large dial",
];

pub(super) fn first_name(random: &mut Random) -> String {
    format!("{}{}", random.one_of(&FIRST), random.one_of(&FIRST_END))
}

pub(super) fn last_name(random: &mut Random) -> String {
    format!("{}{}", random.one_of(&LAST), random.one_of(&LAST_END))
}

pub(super) fn address(random: &mut Random) -> String {
    let (number, street, town) = (random.from(1, 299), random.one_of(&STREETS), random.one_of(&TOWNS));
    format!("{number} {street}, {town}, ZZ {:05}", random.from(1, 99))
}

/// A number of the range that films use.
pub(super) fn phone(random: &mut Random) -> String {
    let line = random.from(100, 199);
    match random.from(1, 3) {
        1 => format!("555-0{line}"),
        2 => format!("(000) 555-0{line}"),
        _ => format!("555-0{line}x{}", random.from(10, 99)),
    }
}

/// A number that passes the check of provider numbers. None that begins with 2 has been issued.
pub(super) fn npi(random: &mut Random) -> String {
    let nine = format!("2{:08}", random.from(0, 99_999_999));
    // The Luhn sum over 80840 and the nine digits: the first five add 24.
    let digits = nine.bytes().rev().map(|b| u32::from(b - b'0')).enumerate();
    let sum: u32 = digits.map(|(i, d)| if i % 2 == 0 { d * 2 / 10 + d * 2 % 10 } else { d }).sum();
    format!("{nine}{}", (10 - (24 + sum) % 10) % 10)
}
