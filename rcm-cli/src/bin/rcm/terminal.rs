//! Progress on stderr: a bar on a terminal, plain lines elsewhere.

use crate::stop::Stop;
use indicatif::{ProgressBar, ProgressStyle};
use rcm_core::{Event, Progress};
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) struct Terminal {
    bar: Option<ProgressBar>,
    stop: Stop,
    /// Between intent and audit a run is not stopped: it would only have to be finished by the next.
    is_publishing: AtomicBool,
}

impl Terminal {
    pub(crate) fn new(stop: Stop) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(0);
            bar.set_style(
                ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}")
                    .unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            bar
        });
        Terminal { bar, stop, is_publishing: AtomicBool::new(false) }
    }

    /// Lines that stay.
    pub(crate) fn say(&self, text: &str) {
        let write = || {
            let _ = writeln!(std::io::stderr().lock(), "{}", text.trim_end());
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn step(&self, text: String) {
        match &self.bar {
            Some(bar) => {
                bar.inc(1);
                bar.set_message(text);
            }
            None => self.say(&text),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Terminal {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Planned { loads, tables } => {
                if let Some(bar) = &self.bar {
                    // The plan, each load in bronze, each table in silver, gold, the publish.
                    bar.set_length((loads + tables + 3) as u64);
                    bar.set_position(0);
                }
                self.step(format!("plan: {loads} loads, {tables} tables"));
            }
            Event::Landed { load } => self.step(format!("bronze {load}")),
            Event::Merged { table } => self.step(format!("silver {table}")),
            Event::GoldWritten { models } => self.step(format!("gold: {models} models")),
            Event::Published { publish } => self.step(format!("published {publish}")),
            Event::Note(text) => self.say(text),
            Event::IntentWritten { .. } => self.is_publishing.store(true, Ordering::SeqCst),
            Event::Audited => self.is_publishing.store(false, Ordering::SeqCst),
            _ => {}
        }
        let code = self.stop.load(Ordering::SeqCst);
        if code != 0 && !self.is_publishing.load(Ordering::SeqCst) {
            if let Some(bar) = &self.bar {
                bar.finish_and_clear();
            }
            std::process::exit(i32::from(code));
        }
    }
}
