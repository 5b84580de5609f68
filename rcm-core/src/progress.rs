//! What a run tells while it works.

/// One step of a run, in the order of the data. Tables are named `layer/table`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// Configuration checked, lease taken, open intent completed, files chosen (step 1).
    Planned {
        /// Lines of `load_config.csv` with something to read.
        loads: usize,
        /// Silver tables of the run.
        tables: usize,
    },
    /// A line's files were read from landing (step 2).
    Read {
        /// `hospital.table`, or `table` where all share it.
        load: &'a str,
        /// Rows read, rejected ones included.
        rows: u64,
    },
    /// A line's files stand in bronze (step 3).
    Landed {
        /// As in [`Event::Read`].
        load: &'a str,
    },
    /// A table's rows are in the common model (step 4).
    Conformed {
        /// The silver table.
        table: &'a str,
    },
    /// A table's rows are checked and split (step 5).
    Checked {
        /// The silver table.
        table: &'a str,
        /// Rows held back.
        quarantined: u64,
    },
    /// A table's history, quarantine and state files are written; nothing is visible yet (step 6).
    Merged {
        /// The silver table.
        table: &'a str,
    },
    /// The gold files are written (step 7).
    GoldWritten {
        /// How many models were rebuilt.
        models: usize,
    },
    /// Every gate was judged and held (step 8).
    GatesHeld,
    /// The intent stands: the point of no return (step 9).
    IntentWritten {
        /// The publish number.
        publish: u64,
    },
    /// One Delta commit of the redo stands.
    Committed {
        /// `layer/table`.
        table: &'a str,
    },
    /// All commits stand, the publish record does not.
    Publishing {
        /// The publish number.
        publish: u64,
    },
    /// The publish record stands.
    Published {
        /// The publish number.
        publish: u64,
    },
    /// The audit rows are in (step 10).
    Audited,
    /// Something that the person at the terminal should know; it does not stop the run.
    Note(&'a str),
}

/// Receives the events of a run, synchronously and from several threads.
///
/// ```
/// use rcm_core::{Event, Progress};
/// use std::sync::Mutex;
///
/// #[derive(Default)]
/// struct Steps(Mutex<Vec<String>>);
/// impl Progress for Steps {
///     fn event(&self, event: &Event<'_>) {
///         self.0.lock().unwrap().push(format!("{event:?}"));
///     }
/// }
/// let steps = Steps::default();
/// steps.event(&Event::GatesHeld);
/// assert_eq!(*steps.0.lock().unwrap(), ["GatesHeld"]);
/// ```
pub trait Progress: Send + Sync {
    /// Called at each step, on the thread that made it.
    fn event(&self, event: &Event<'_>);
}

/// Shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _: &Event<'_>) {}
}
