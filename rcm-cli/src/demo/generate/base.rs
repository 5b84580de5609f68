//! Day 1: every table of a hospital, row by row. A row is a function of its number alone.

use super::random::Random;
use super::table::{Calendar, Table};
use super::{Story, words};

/// What one hospital does otherwise than the other.
pub(super) struct Hospital {
    pub(super) name: &'static str,
    /// What its own list of providers puts before their ids, and its facts leave away.
    pub(super) prefix: &'static str,
    seed: u64,
    providers: u32,
    end: &'static str,
    patient_header: &'static str,
    encounter_header: &'static str,
    /// How it writes the dates of its encounters.
    encounter_dates: &'static str,
    departments: [&'static str; 6],
}

pub(super) const HOSPITALS: [Hospital; 2] = [
    Hospital {
        name: "hos-a",
        prefix: "H1-",
        seed: 0xa1,
        providers: 12,
        end: "\r\n",
        patient_header: "PatientID,FirstName,LastName,MiddleName,SSN,PhoneNumber,Gender,DOB,Address,ModifiedDate",
        encounter_header: "EncounterID,PatientID,EncounterDate,EncounterType,ProviderID,DepartmentID,ProcedureCode,\
                           InsertedDate,ModifiedDate",
        encounter_dates: "%Y-%m-%d",
        departments: ["Emergency", "Cardiology", "Orthopedics", "Radiology", "Pediatrics", "Laboratory"],
    },
    Hospital {
        name: "hos-b",
        prefix: "H2-",
        seed: 0xb2,
        providers: 15,
        end: "\n",
        patient_header: "ID,F_Name,L_Name,M_Name,SSN,PhoneNumber,Gender,DOB,Address,Updated_Date",
        encounter_header: "EncounterID,PatientID,EncounterDate,EncounterType,ProviderID,DeptID,ProcedureCode,\
                           InsertedDate,ModifiedDate",
        encounter_dates: "%m/%d/%Y",
        departments: ["Emergency", "Oncology", "Cardiology", "Neurology", "Radiology", "Surgery"],
    },
];

pub(super) const PATIENTS: u32 = 150;
pub(super) const ENCOUNTERS: u32 = 250;
pub(super) const TRANSACTIONS: u32 = 400;
pub(super) const CLAIMS: u32 = 200;

const TRANSACTION_HEADER: &str = "TransactionID,EncounterID,PatientID,ProviderID,DeptID,VisitDate,ServiceDate,PaidDate,\
    VisitType,Amount,AmountType,PaidAmount,ClaimID,PayorID,ProcedureCode,ICDCode,LineOfBusiness,MedicaidID,MedicareID,\
    InsertDate,ModifiedDate";
const CLAIM_HEADER: &str = "ClaimID,TransactionID,PatientID,EncounterID,ProviderID,DeptID,ServiceDate,ClaimDate,PayorID,\
    ClaimAmount,PaidAmount,ClaimStatus,PayorType,Deductible,Coinsurance,Copay,InsertDate,ModifiedDate";

/// The tables of a hospital's record system.
pub(super) struct Emr {
    pub(super) departments: Table,
    pub(super) providers: Table,
    pub(super) patients: Table,
    pub(super) encounters: Table,
    pub(super) transactions: Table,
}

impl Emr {
    /// The tables with the names of their files.
    pub(super) fn named(self) -> impl Iterator<Item = (&'static str, Table)> {
        [
            ("departments", self.departments),
            ("providers", self.providers),
            ("patients", self.patients),
            ("encounters", self.encounters),
            ("transactions", self.transactions),
        ]
        .into_iter()
    }
}

/// The record system on day 1.
pub(super) fn emr(hospital: &Hospital, calendar: &Calendar, story: &Story) -> Emr {
    let h = hospital;
    let departments = h.departments.iter().zip(1..).map(|(name, n)| vec![department_id(n), (*name).to_owned()]);
    let mut emr = Emr {
        departments: Table::new("DeptID,Name", h.end, departments),
        providers: Table::new(
            "ProviderID,FirstName,LastName,Specialization,DeptID,NPI",
            h.end,
            (1..=h.providers).map(|n| provider(h, n)),
        ),
        patients: Table::new(h.patient_header, h.end, (1..=PATIENTS).map(|n| patient(h, calendar, n))),
        encounters: Table::new(h.encounter_header, h.end, (1..=ENCOUNTERS).map(|n| encounter(h, calendar, n))),
        transactions: Table::new(TRANSACTION_HEADER, h.end, (1..=TRANSACTIONS).map(|n| transaction(h, calendar, n))),
    };
    if h.name == story.late_patient.hospital {
        let patients = &mut emr.patients;
        let at = patients.at(&story.late_patient.id);
        patients.set(at, "ModifiedDate", calendar.iso(60));
        patients.insert(at + 1, patients.row(&story.late_patient.id));
        patients.set(at + 1, "Address", address(h, 1_042));
        patients.set(at + 1, "ModifiedDate", calendar.iso(10));

        patients.set(patients.at("PAT-000005"), "LastName", "Pebblethorpe, Jr.");
        let again = emr.transactions.row("TRX-000200");
        emr.transactions.insert(300, again);
    } else {
        for id in ["PAT-000017", "PAT-000066", "PAT-000120"] {
            emr.patients.set(emr.patients.at(id), "F_Name", "NULL");
        }
        let at = emr.patients.at("PAT-000008");
        emr.patients.set(at, "Address", "Flat \"C\", 8 Teapot Row, Quagford, ZZ 00008");
    }
    emr
}

/// The first drop of claims.
pub(super) fn claims(hospital: &Hospital, calendar: &Calendar) -> Table {
    Table::new(CLAIM_HEADER, hospital.end, (1..=CLAIMS).map(|n| claim(hospital, calendar, n)))
}

/// The list of codes, shared by both. A number would lose the zeros in front.
pub(super) fn codes() -> Table {
    let statuses = ["No Change", "No change", "Added", "No Change "];
    let texts = words::DEEDS.iter().flat_map(|deed| words::THINGS.iter().map(move |thing| format!("{deed} {thing}")));
    let rows = texts.zip(1..).map(|(text, n)| {
        let mut random = Random::of(0xc0, "codes", n);
        let blanks = if n % 6 == 0 { "  " } else { "" };
        let status = if random.chance(70) { "No Change" } else { random.one_of(&statuses) };
        vec![format!("Part {}", 1 + (n - 1) / 8), format!("{n:05}"), format!("{text}{blanks}"), status.to_owned()]
    });
    Table::new("Procedure Code Category,CPT Codes,Procedure Code Descriptions,Code Status", "\n", rows)
}

fn department_id(n: u32) -> String {
    format!("DEPT{n:03}")
}

fn provider(h: &Hospital, n: u32) -> Vec<String> {
    let mut random = Random::of(h.seed, "providers", n);
    let department = 1 + (n - 1) % 6;
    let specialization = h.departments.get(department as usize - 1).copied().unwrap_or_default();
    vec![
        format!("{}PROV{n:04}", h.prefix),
        words::first_name(&mut random),
        words::last_name(&mut random),
        specialization.to_owned(),
        department_id(department),
        words::npi(&mut random),
    ]
}

/// An address that patient `n` may have; numbers above a thousand are for those who move.
pub(super) fn address(h: &Hospital, n: u32) -> String {
    words::address(&mut Random::of(h.seed, "addresses", n))
}

/// A patient; those who come on day 2 count on from day 1.
pub(super) fn patient(h: &Hospital, calendar: &Calendar, n: u32) -> Vec<String> {
    let mut random = Random::of(h.seed, "patients", n);
    let modified = if n > PATIENTS { random.from(0, 1) } else { random.from(2, 200) };
    vec![
        format!("PAT-{n:06}"),
        words::first_name(&mut random),
        words::last_name(&mut random),
        char::from(b'A' + random.from(0, 25) as u8).to_string(),
        // Area 900 is never issued, and taxpayer numbers of the 900s begin with group 50.
        format!("900-{:02}-{:04}", random.from(1, 49), random.from(1, 9_999)),
        words::phone(&mut random),
        random.one_of(&["Female", "Male"]).to_owned(),
        calendar.iso(random.from(1_500, 30_000)),
        address(h, n),
        calendar.iso(modified),
    ]
}

/// What an encounter and its transactions have in common.
struct Visit {
    patient: String,
    provider: String,
    department: String,
    code: String,
    days_ago: u32,
    modified: u32,
}

fn visit(h: &Hospital, n: u32) -> Visit {
    let mut random = Random::of(h.seed, "visits", n);
    let days_ago = if n > ENCOUNTERS { random.from(0, 1) } else { random.from(5, 150) };
    let modified = if n > ENCOUNTERS { 0 } else { random.from(2, days_ago) };
    // The others name somebody whom the hospital's list does not have.
    let known = random.chance(70);
    let provider = if known { random.from(1, h.providers) } else { random.from(101, 199) };
    Visit {
        patient: format!("PAT-{:06}", random.from(1, PATIENTS)),
        provider: format!("PROV{provider:04}"),
        department: department_id(random.from(1, 6)),
        // A few codes are not in the list of forty.
        code: format!("{:05}", random.from(1, 45)),
        days_ago,
        modified,
    }
}

pub(super) fn encounter(h: &Hospital, calendar: &Calendar, n: u32) -> Vec<String> {
    let visit = visit(h, n);
    let date = |days_ago| calendar.ago(days_ago).format(h.encounter_dates).to_string();
    vec![
        format!("ENC-{n:06}"),
        visit.patient,
        date(visit.days_ago),
        Random::of(h.seed, "encounters", n).one_of(&words::ENCOUNTER_TYPES).to_owned(),
        visit.provider,
        visit.department,
        visit.code,
        date(visit.days_ago),
        date(visit.modified),
    ]
}

/// What a transaction and its claim have in common.
struct Charge {
    encounter: u32,
    cents: u32,
    paid: u32,
    service: u32,
    payer: u32,
}

fn charge(h: &Hospital, random: &mut Random, n: u32) -> Charge {
    let is_new = n > TRANSACTIONS;
    let encounter = if is_new { ENCOUNTERS + 1 + (n - 1) % 5 } else { random.from(1, ENCOUNTERS) };
    let service = visit(h, encounter).days_ago.saturating_sub(random.from(0, 3)).max(if is_new { 0 } else { 2 });
    let cents = random.from(2_000, 400_000);
    let paid = match random.from(1, 10) {
        1 => 0,
        2..=6 => random.from(1, cents - 1),
        7..=9 => cents,
        _ => cents + random.from(100, 20_000),
    };
    Charge { encounter, cents, paid, service, payer: random.from(1, words::PAYERS.len() as u32) }
}

pub(super) fn transaction(h: &Hospital, calendar: &Calendar, n: u32) -> Vec<String> {
    let mut random = Random::of(h.seed, "transactions", n);
    let charge = charge(h, &mut random, n);
    let visit = visit(h, charge.encounter);
    let least = if n > TRANSACTIONS { 0 } else { 2 };
    let paid = charge.service.saturating_sub(random.from(3, 40)).max(least);
    let amount = if random.chance(35) { single } else { cents };
    let business = random.one_of(&words::BUSINESS);
    let member = |of: &str, prefix: &str| if business == of { format!("{prefix}{n:08}") } else { String::new() };
    vec![
        format!("TRX-{n:06}"),
        format!("ENC-{:06}", charge.encounter),
        visit.patient,
        visit.provider,
        visit.department,
        calendar.iso(visit.days_ago),
        calendar.iso(charge.service),
        calendar.iso(paid),
        random.one_of(&words::VISIT_TYPES).to_owned(),
        amount(charge.cents),
        random.one_of(&words::AMOUNT_TYPES).to_owned(),
        amount(charge.paid),
        claim_of(n).map(|c| format!("CLM-{c:06}")).unwrap_or_default(),
        format!("PAYOR{:04}", charge.payer),
        visit.code,
        format!("{}{:02}.{}", char::from(b'A' + random.from(0, 19) as u8), random.from(0, 99), random.from(0, 9)),
        business.to_owned(),
        member("Medicaid", "MCD"),
        member("Medicare", "MCR"),
        calendar.iso(charge.service),
        calendar.iso(random.from(least, paid)),
    ]
}

/// Every other transaction is claimed, and all that come on day 2.
fn transaction_of(claim: u32) -> u32 {
    if claim > CLAIMS { TRANSACTIONS + claim - CLAIMS } else { claim * 2 }
}

fn claim_of(transaction: u32) -> Option<u32> {
    match transaction.checked_sub(TRANSACTIONS + 1) {
        Some(further) => (further < 10).then_some(CLAIMS + 1 + further),
        None => transaction.is_multiple_of(2).then_some(transaction / 2),
    }
}

pub(super) fn claim(h: &Hospital, calendar: &Calendar, n: u32) -> Vec<String> {
    let transaction = transaction_of(n);
    let charge = charge(h, &mut Random::of(h.seed, "transactions", transaction), transaction);
    let visit = visit(h, charge.encounter);
    let mut random = Random::of(h.seed, "claims", n);
    let least = if n > CLAIMS { 0 } else { 2 };
    let date = charge.service.saturating_sub(random.from(1, 10)).max(least);
    let status = random.one_of(&words::STATUSES);
    let paid = if ["Paid", "Approved"].contains(&status) { charge.paid.min(charge.cents) } else { 0 };
    let (payer, kind) = words::PAYERS.get(charge.payer as usize - 1).copied().unwrap_or_default();
    vec![
        format!("CLM-{n:06}"),
        format!("TRX-{transaction:06}"),
        visit.patient,
        format!("ENC-{:06}", charge.encounter),
        visit.provider,
        visit.department,
        calendar.iso(charge.service),
        calendar.iso(date),
        payer.to_owned(),
        cents(charge.cents),
        cents(paid),
        status.to_owned(),
        kind.to_owned(),
        cents(random.from(0, 50_000)),
        cents(random.from(0, 20_000)),
        cents(random.from(0, 6_000)),
        calendar.iso(date),
        calendar.iso(random.from(least, date)),
    ]
}

/// An amount with two decimals.
pub(super) fn cents(cents: u32) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// An amount as a database hands it out that keeps money in a float of 32 bits.
fn single(cents: u32) -> String {
    f64::from(cents as f32 / 100.0).to_string()
}
