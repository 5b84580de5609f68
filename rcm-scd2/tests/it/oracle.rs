//! The slow, obvious way: small integers for cells, whole tables recomputed for each load, a loop for each question.
//!
//! Cells are equal when their numbers are, so null, NaN, -0.0 and encodings play no part here.

/// An event of a feed, or a row of a snapshot (which has no `at` and `run`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Row {
    pub(crate) scope: usize,
    pub(crate) id: usize,
    pub(crate) at: i64,
    pub(crate) run: i64,
    pub(crate) tracked: (usize, usize),
    pub(crate) latest: usize,
}

impl Row {
    pub(crate) fn key(&self) -> (usize, usize) {
        (self.scope, self.id)
    }

    fn sequence(&self) -> (i64, i64) {
        (self.at, self.run)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) key: (usize, usize),
    pub(crate) tracked: (usize, usize),
    pub(crate) latest: usize,
    pub(crate) from: i64,
    pub(crate) to: Option<i64>,
}

/// The observations that a feed holds after a load: what is stored stays, contradictions inside the load are left out.
pub(crate) fn observe(stored: &[Row], load: &[Row]) -> Vec<Row> {
    let same = |a: &Row, b: &Row| a.key() == b.key() && a.sequence() == b.sequence();
    let mut all = stored.to_vec();
    for row in load {
        let contradicted = load.iter().any(|other| same(row, other) && row != other);
        if !contradicted && !all.iter().any(|other| same(row, other)) {
            all.push(*row);
        }
    }
    all.sort();
    all
}

/// The history of a feed.
pub(crate) fn feed(observations: &[Row]) -> Vec<Version> {
    let beaten = |row: &Row| {
        observations.iter().any(|other| other.key() == row.key() && other.at == row.at && other.run > row.run)
    };
    let counting: Vec<&Row> = observations.iter().filter(|row| !beaten(row)).collect();
    let before = |row: &Row| counting.iter().filter(|o| o.key() == row.key() && o.at < row.at).max_by_key(|o| o.at);
    let begins = |row: &Row| before(row).is_none_or(|before| before.tracked != row.tracked);

    let mut versions = Vec::new();
    for row in counting.iter().filter(|row| begins(row)) {
        let later = counting.iter().filter(|other| other.key() == row.key() && other.at > row.at);
        let to = later.filter(|other| begins(other)).map(|other| other.at).min();
        let inside = |o: &&&&Row| o.key() == row.key() && o.at >= row.at && to.is_none_or(|to| o.at < to);
        let last = counting.iter().filter(|other| inside(&other)).max_by_key(|other| other.at).unwrap();
        versions.push(Version { key: row.key(), tracked: row.tracked, latest: last.latest, from: row.at, to });
    }
    versions.sort();
    versions
}

/// The tracked values of a feed's key at an instant: the last event at or before it.
pub(crate) fn as_of(observations: &[Row], key: (usize, usize), at: i64) -> Option<(usize, usize)> {
    let until = observations.iter().filter(|row| row.key() == key && row.at <= at);
    until.max_by_key(|row| row.sequence()).map(|row| row.tracked)
}

/// A snapshot load.
pub(crate) struct Snapshot {
    pub(crate) rows: Vec<Row>,
    pub(crate) as_of: i64,
    pub(crate) withheld: Vec<(usize, usize)>,
    pub(crate) complete: Vec<usize>,
}

/// The history after a snapshot; `None`: the snapshot is late.
pub(crate) fn snapshot(history: &[Version], load: &Snapshot) -> Option<Vec<Version>> {
    let conflicts = |row: &Row| load.rows.iter().any(|other| other.key() == row.key() && other != row);
    let seen_only = |key| load.withheld.contains(&key) || load.rows.iter().any(|r| r.key() == key && conflicts(r));
    let mut present: Vec<Row> = load.rows.iter().filter(|row| !seen_only(row.key())).copied().collect();
    present.sort();
    present.dedup();

    let touched = |scope: usize| load.complete.contains(&scope) || present.iter().any(|row| row.scope == scope);
    let late =
        |version: &Version| touched(version.key.0) && version.from.max(version.to.unwrap_or(version.from)) > load.as_of;
    if history.iter().any(late) {
        return None;
    }

    let mut after = Vec::new();
    for version in history {
        let row = present.iter().find(|row| row.key() == version.key);
        let absent = row.is_none() && !seen_only(version.key) && load.complete.contains(&version.key.0);
        let closes = absent || row.is_some_and(|row| row.tracked != version.tracked);
        match row {
            _ if version.to.is_some() => after.push(*version),
            _ if closes => after.push(Version { to: Some(load.as_of), ..*version }),
            Some(row) => after.push(Version { latest: row.latest, ..*version }),
            None => after.push(*version),
        }
    }
    let touched_now = |(old, new): (&Version, &Version)| old != new && old.from == load.as_of;
    if history.iter().zip(&after).any(touched_now) {
        return None;
    }
    for row in present {
        if !after.iter().any(|version| version.key == row.key() && version.to.is_none()) {
            let (tracked, latest) = (row.tracked, row.latest);
            after.push(Version { key: row.key(), tracked, latest, from: load.as_of, to: None });
        }
    }
    after.sort();
    Some(after)
}
