//! An exported snapshot: one instant for all who read, how far a window in it reaches, and what holds tables still meanwhile.

use super::catalog::Table;
use super::session::{Session, problem};
use super::{Options, window};
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use rcm_core::Problem;
use tokio::sync::Mutex;

/// An exported snapshot, and until when a window in it may reach. It is there as long as the session that exported it.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) session: Session,
    pub(super) name: String,
    /// The server's own clock.
    pub(super) now: DateTime<Utc>,
    /// The end of windows.
    pub(super) upper: DateTime<Utc>,
    /// The same as a wall clock in the zone of timestamps without one shows it.
    pub(super) local: NaiveDateTime,
    /// The server's own clock, shown in the same way.
    pub(super) local_now: NaiveDateTime,
    zone: String,
    /// Of those who want to hold tables.
    one: Mutex<()>,
}

/// How long somebody may write before it is told that windows end there.
const LONG: TimeDelta = TimeDelta::minutes(5);

impl Snapshot {
    /// Keeps a table as it is until the snapshot is gone: what rewrites or empties it has to wait.
    pub(super) async fn hold(&self, quoted: &str, place: &str) -> Result<(), Problem> {
        let _one = self.one.lock().await;
        let hold = format!("SAVEPOINT held; SELECT FROM {quoted} LIMIT 0; RELEASE SAVEPOINT held");
        match self.session.run(&hold).await {
            Ok(()) => Ok(()),
            Err(problem) => {
                // The snapshot is others' as well.
                self.session.run("ROLLBACK TO SAVEPOINT held").await?;
                Err(Problem { place: place.to_owned(), ..problem })
            }
        }
    }

    /// That somebody has been writing for long.
    pub(super) fn waits(&self) -> Option<String> {
        let minutes = (self.now - self.upper).num_minutes();
        (self.now - self.upper > LONG).then(|| {
            format!("the window ends {minutes} minutes ago: a transaction has been writing since then; what is later waits for it")
        })
    }
}

impl Session {
    /// Begins and exports a snapshot.
    pub(super) async fn snapshot(self, options: &Options) -> Result<Snapshot, Problem> {
        let zone = match &options.time_zone {
            Some(zone) => zone.clone(),
            None => {
                let rows =
                    self.rows("SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'TimeZone'", &[]).await?;
                rows.first().and_then(|row| row.try_get(0).ok()).unwrap_or_else(|| "UTC".to_owned())
            }
        };
        // The clock of this statement ends the window: who begins to write behind it is later than it, who began before is
        // seen, and who ends before the snapshot is in that. On a standby nobody is seen.
        let writing = "SELECT pg_catalog.now(), min(xact_start), \
            pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') AND NOT pg_catalog.pg_is_in_recovery() \
            FROM pg_catalog.pg_stat_activity WHERE backend_xid IS NOT NULL AND datname = current_database() \
            AND backend_type <> 'autovacuum worker'";
        let writing = self.rows(writing, &[]).await?;
        let unreadable = |e: tokio_postgres::Error| problem(&self.place, &e);
        let no_time = || Problem::storage(&self.place, "the server tells no time");
        let row = writing.first().ok_or_else(no_time)?;
        let now: DateTime<Utc> = row.try_get(0).map_err(unreadable)?;
        let oldest: Option<DateTime<Utc>> = row.try_get(1).map_err(unreadable)?;
        let sees: bool = row.try_get(2).map_err(unreadable)?;
        self.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let bound = "SELECT least($1::timestamptz, $4::timestamptz - make_interval(secs => $2)), \
            least($1::timestamptz, $4::timestamptz - make_interval(secs => $2)) AT TIME ZONE $3, pg_catalog.pg_export_snapshot(), \
            $4::timestamptz AT TIME ZONE $3";
        let settle = if sees { 0.0 } else { options.settle.as_secs_f64() };
        let rows = self.rows(bound, &[&oldest, &settle, &zone, &now]).await?;
        let row = rows.first().ok_or_else(no_time)?;
        let (upper, local) = (row.try_get(0).map_err(unreadable)?, row.try_get(1).map_err(unreadable)?);
        let (name, local_now) = (row.try_get(2).map_err(unreadable)?, row.try_get(3).map_err(unreadable)?);
        Ok(Snapshot { session: self, one: Mutex::default(), name, now, upper, local, local_now, zone })
    }

    /// Whether rows lie ahead of the clock: dated wrongly, or meant in another zone. They are read when it gets there. Without
    /// an index that would be looked for at the price of another read.
    pub(super) async fn rows_ahead(
        &self,
        table: &Table,
        cursor: &str,
        snapshot: &Snapshot,
    ) -> Result<Option<String>, Problem> {
        let Some(ahead) = window::ahead(cursor, table.cursor(cursor)?, snapshot).filter(|_| table.has_index(cursor))
        else {
            return Ok(None);
        };
        let rows = self.rows(&format!("SELECT EXISTS (SELECT FROM {} WHERE {ahead})", table.quoted), &[]).await?;
        let is_so = rows.first().is_some_and(|row| row.try_get(0).unwrap_or(false));
        Ok(is_so.then(|| {
            format!(
                "rows of `{cursor}` lie ahead of the clock in zone {}: they are read when it gets there; if they are meant \
                 in another zone, set `time_zone` of the source",
                snapshot.zone
            )
        }))
    }
}
