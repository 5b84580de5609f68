//! Step 9: one intent, then a redo that any process may repeat.

use super::audit;
use super::gold::Rebuilt;
use super::merge::{Change, TableAfter};
use super::plan::Plan;
use crate::report::Report;
use rcm_connectors::lake::{Commit, Intent, Lake, Publish, TableAt, TableCommit};
use rcm_core::{Clock, Event, Problem, Progress};

/// An earlier run may have stopped behind its point of no return: what it meant to do is done first.
pub(super) async fn finish_what_was_begun(lake: &Lake, progress: &dyn Progress) -> Result<(), Problem> {
    if let Some(intent) = lake.open_intent().await? {
        let note = format!("finishing publish {}, which an earlier run began", intent.publish.publish);
        progress.event(&Event::Note(&note));
        return lake.complete(&intent, progress).await;
    }
    // It may also have stopped between its publish record and its audit rows.
    if let Some(publish) = lake.newest().await?
        && let Some(intent) = lake.intent(publish.publish).await?
    {
        lake.append_audit(&intent.publish.attempt, &intent.audit).await?;
    }
    Ok(())
}

/// Publishes the run. A run that changes nothing writes neither intent nor record, only audit.
pub(super) async fn publish(
    plan: &Plan<'_>,
    tables: &[TableAfter],
    gold: &[Rebuilt],
    lake: &Lake,
    clock: &dyn Clock,
    progress: &dyn Progress,
    report: &mut Report,
) -> Result<(), Problem> {
    let mut at = plan.previous.as_ref().map(|p| p.tables.clone()).unwrap_or_default();
    let mut commits = Vec::new();
    let mut changed = false;
    for after in tables {
        let silver = format!("silver/{}", after.table.name);
        let version = commit(plan, &silver, &after.silver, clock, &mut commits)?;
        at.insert(silver, TableAt { version, state: after.state.clone(), ..TableAt::default() });
        let quarantine = format!("quarantine/{}", after.table.name);
        let version = commit(plan, &quarantine, &after.quarantine, clock, &mut commits)?;
        at.insert(quarantine, TableAt { version, ..TableAt::default() });
        changed |= after.state_changed;
    }
    for rebuilt in gold {
        let name = format!("gold/{}", rebuilt.model.name);
        let version = commit(plan, &name, &rebuilt.change, clock, &mut commits)?;
        let as_of = rebuilt.model.dated.then(|| plan.as_of_text());
        at.insert(name, TableAt { version, as_of, model: Some(rebuilt.digest.clone()), ..TableAt::default() });
    }
    if !changed && commits.is_empty() {
        lake.append_audit(&plan.attempt, &audit::rows(plan, report, clock.now())).await?;
        progress.event(&Event::Audited);
        return Ok(());
    }

    report.publish = Some(plan.publish);
    let stale = report.loads.iter().filter(|l| l.error.is_some()).map(|l| l.load.clone()).collect();
    let intent = Intent {
        commits,
        publish: Publish {
            format: 1,
            publish: plan.publish,
            run_id: plan.run_id.clone(),
            attempt: plan.attempt.clone(),
            as_of: plan.as_of_text(),
            tables: at,
            stale,
        },
        audit: audit::rows(plan, report, clock.now()),
    };
    lake.put_intent(&intent).await?;
    progress.event(&Event::IntentWritten { publish: plan.publish });
    lake.complete(&intent, progress).await
}

/// The commit of a table, if it changed; its version after the run.
fn commit(
    plan: &Plan<'_>,
    table: &str,
    change: &Change,
    clock: &dyn Clock,
    commits: &mut Vec<TableCommit>,
) -> Result<Option<u64>, Problem> {
    let base = change.before.version;
    if !change.is_due() {
        return Ok(base);
    }
    let commit_id = format!("{}/{table}", plan.publish);
    let commit = Commit {
        table,
        commit_id: &commit_id,
        txn: ("rcm", plan.publish),
        schema: &change.schema,
        create: base.is_none(),
        removes: &change.removes,
        adds: &change.adds,
        now_millis: clock.now().timestamp_millis(),
        run_id: &plan.run_id,
    }
    .bytes()?;
    commits.push(TableCommit { table: table.to_owned(), base, commit_id, commit });
    Ok(Some(base.map_or(0, |b| b + 1)))
}
