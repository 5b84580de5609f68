//! What goes to stdout: text for people, or one JSON document.

use clap::CommandFactory;
use rcm_core::{Class, Problem};
use serde::Serialize;
use std::io::Write;

/// Help and version, or what is wrong with the arguments; with `--json` among them, as the one document too.
pub(crate) fn usage(error: &clap::Error) -> u8 {
    let _ = error.print();
    let code = u8::try_from(error.exit_code()).unwrap_or(2);
    if code != 0 && std::env::args().any(|a| a == "--json") {
        let what = error.render().to_string().lines().next().unwrap_or_default().to_owned();
        let problem = Problem::new(Class::Config, "arguments", what.trim_start_matches("error: "));
        return Output { json: true }.done(&serde_json::json!({"schema": 1, "problems": [problem]}), code);
    }
    code
}

pub(crate) struct Output {
    pub(crate) json: bool,
}

#[derive(Serialize)]
struct Document<'a, T: Serialize> {
    exit_code: u8,
    #[serde(flatten)]
    body: &'a T,
}

impl Output {
    /// Text that is the answer.
    pub(crate) fn text(&self, text: &str) -> u8 {
        // A reader that went away (`rcm status | head`) is no failure of ours.
        let _ = std::io::stdout().lock().write_all(text.as_bytes());
        0
    }

    /// A document of success, or its text.
    pub(crate) fn either<T: Serialize>(&self, body: &T, text: &str) -> u8 {
        if self.json { self.done(body, 0) } else { self.text(text) }
    }

    /// A document with its exit code; without `--json` the code alone.
    pub(crate) fn done<T: Serialize>(&self, body: &T, exit_code: u8) -> u8 {
        if self.json {
            let document = serde_json::to_string_pretty(&Document { exit_code, body }).unwrap_or_default();
            self.text(&(document + "\n"));
        }
        exit_code
    }

    /// Problems, on stderr and in the document.
    pub(crate) fn problems(&self, problems: &[Problem]) -> u8 {
        let mut stderr = std::io::stderr().lock();
        for problem in problems {
            let _ = writeln!(stderr, "error: {problem}");
            if let Some(hint) = &problem.hint {
                let _ = writeln!(stderr, "       {hint}");
            }
        }
        let code = problems.iter().map(|p| p.class).max().map_or(1, Class::exit_code);
        self.done(&serde_json::json!({"schema": 1, "problems": problems}), code)
    }

    pub(crate) fn completions(&self, shell: clap_complete::Shell) -> u8 {
        let mut out = Vec::new();
        clap_complete::generate(shell, &mut crate::args::Args::command(), "rcm", &mut out);
        self.text(&String::from_utf8_lossy(&out))
    }
}
