//! Step 9: one intent, then a redo that any process may repeat.

use super::PATIENCE;
use super::audit;
use super::gold::Rebuilt;
use super::merge::TableAfter;
use super::plan::Plan;
use crate::report::Report;
use rcm_connectors::lake::{Attempt, By, FORMAT, Intent, Lake, Publish, TableAt, new_attempt};
use rcm_core::{Class, Clock, Event, Problem, Progress};
use rcm_transforms::gold::MODELS;
use std::collections::BTreeSet;

/// What an earlier run began: [`Lake::finish`]. `rebuilt`: the silver tables that this run builds anew.
pub(super) async fn finish_what_was_begun(
    lake: &Lake,
    rebuilt: &[&str],
    clock: &dyn Clock,
    progress: &dyn Progress,
) -> Result<(), Problem> {
    let layers = rebuilt.iter().flat_map(|table| ["silver", "quarantine"].map(|layer| format!("{layer}/{table}")));
    let gold = MODELS.iter().filter(|_| !rebuilt.is_empty()).map(|model| format!("gold/{}", model.name));
    let rebuilt: Vec<String> = layers.chain(gold).collect();
    lake.finish(&rebuilt, clock.now(), progress).await.map(|_| ())
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
    let by = By { publish: plan.publish, run_id: &plan.run_id, now_millis: clock.now().timestamp_millis() };
    for after in tables {
        let (commit, stands) = after.silver.commit(by)?;
        commits.extend(commit);
        at.insert(after.silver.table.clone(), TableAt { state: after.state.clone(), ..stands });
        let (commit, stands) = after.quarantine.commit(by)?;
        commits.extend(commit);
        at.insert(after.quarantine.table.clone(), stands);
        changed |= after.state_changed;
    }
    for rebuilt in gold {
        let (commit, stands) = rebuilt.change.commit(by)?;
        commits.extend(commit);
        let as_of = rebuilt.model.dated.then(|| plan.as_of_text());
        at.insert(rebuilt.change.table.clone(), TableAt { as_of, model: Some(rebuilt.digest.clone()), ..stands });
    }
    if !changed && commits.is_empty() {
        lake.append_audit(&plan.attempt, &audit::rows(report, None, clock.now())).await?;
        progress.event(&Event::Audited);
        return Ok(());
    }

    // A line is stale until a run has read it: one that was left out stays what it was.
    let mut stale: BTreeSet<String> = plan.previous.iter().flat_map(|p| p.stale.iter().cloned()).collect();
    for load in &report.loads {
        match load.error {
            Some(_) => stale.insert(load.load.clone()),
            None => stale.remove(&load.load),
        };
    }
    let intent = Intent {
        commits,
        publish: Publish {
            format: FORMAT,
            publish: plan.publish,
            run_id: plan.run_id.clone(),
            attempt: plan.attempt.clone(),
            as_of: plan.as_of_text(),
            tables: at,
            stale: stale.into_iter().collect(),
            checkpoints: plan.previous.as_ref().map(|p| p.checkpoints.clone()).unwrap_or_default(),
            kept_from: plan.previous.as_ref().map_or(1, |p| p.kept_from),
            bronze: tables.iter().flat_map(|t| t.bronze.iter().cloned()).collect(),
        },
        audit: audit::rows(report, Some(plan.publish), clock.now()),
    };
    let put = lake.put_intent(&intent).await;
    // It may stand although the call failed: then it counts.
    let is_known = match &put {
        Ok(()) => Some(true),
        // Refused before it was tried.
        Err(problem) if problem.class == Class::Drift => Some(false),
        Err(_) => lake.is_of(plan.publish, &plan.attempt).await,
    };
    if is_known == Some(true) {
        report.intent = Some(plan.publish);
    } else if is_known.is_none() && !lake.is_on_disk() {
        // It may yet come to stand: the rows of this attempt are those of its intent, and the failure's are another's.
        let attempt = Attempt { attempt: new_attempt(plan.publish), ..plan.begins(clock.now()) };
        report.attempt.clone_from(&attempt.attempt);
        let _ = tokio::time::timeout(PATIENCE, lake.begin(&attempt)).await;
    }
    put?;
    progress.event(&Event::IntentWritten { publish: plan.publish });
    lake.complete(&intent, &[], progress).await?;
    report.intent = None;
    report.publish = Some(plan.publish);
    Ok(())
}
