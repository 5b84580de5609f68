//! Order files of ICD-10-CM: several releases side by side, and what is none.

use crate::{shown, wait, whole};
use arrow::array::RecordBatch;
use rcm_connectors::icd::OrderFiles;
use rcm_core::{Class, Source, Wanted, Window};

fn line(order: usize, code: &str, is_billable: bool, text: &str) -> String {
    format!("{order:05} {code:<7} {} {text:<60} {text}, at length\r\n", u8::from(is_billable))
}

/// Made-up codes in the shape of those of the release.
fn file(codes: &[(&str, bool)]) -> String {
    codes.iter().enumerate().map(|(n, (code, flag))| line(n + 1, code, *flag, &format!("Made-up {code}"))).collect()
}

fn rows_of(rows: &RecordBatch, columns: &[&str]) -> Vec<String> {
    let places: Vec<usize> = columns.iter().map(|name| rows.schema().index_of(name).unwrap()).collect();
    (0..rows.num_rows())
        .map(|row| places.iter().map(|at| shown(rows, *at, row)).collect::<Vec<_>>().join(" "))
        .collect()
}

#[test]
fn releases_stand_side_by_side() {
    wait(async {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
        put("icd10cm_order_2026.txt", file(&[("X99", false), ("X990", true), ("X99XX1A", true)]));
        put("icd10cm-order-April-2026.txt", file(&[("X99", false), ("X990", false), ("X9901", true)]));
        put("icd10cm_codes_2026.txt", "no order file".to_owned());
        let source = OrderFiles::new(folder.path());
        let rows = whole(&source, "icd10cm").await.unwrap();
        let columns = ["release", "code", "parent_code", "is_billable", "effective_from", "effective_to"];
        assert_eq!(
            rows_of(&rows, &columns),
            [
                "2026 X99  false 2025-10-01 2026-03-31",
                "2026 X99.0 X99 true 2025-10-01 2026-03-31",
                "2026 X99.XX1A X99 true 2025-10-01 2026-03-31",
                "2026-04 X99  false 2026-04-01 2026-09-30",
                "2026-04 X99.0 X99 false 2026-04-01 2026-09-30",
                "2026-04 X99.01 X99.0 true 2026-04-01 2026-09-30",
            ]
        );
        assert_eq!(rows_of(&rows, &["order_number", "long_description"])[4], "00002 Made-up X990, at length");
        assert_eq!(whole(&source, "2026-04").await.unwrap().num_rows(), 3);
        assert_eq!(source.describe("2025").await.unwrap_err().class, Class::Config);
        // Some columns of it, and no window.
        let wanted = Wanted { table: "icd10cm".into(), columns: vec!["release".into()], window: Window::Whole };
        assert_eq!(source.open(&wanted).await.unwrap().schema().fields().len(), 1);
        let window = Window::Since { cursor: "release".into(), watermark: None, lag: rcm_core::Lag::Steps(0) };
        let problem = source.open(&Wanted { window, ..wanted }).await.err().unwrap();
        assert_eq!((problem.class, problem.hint.is_some()), (Class::Config, true));
    });
}

#[test]
fn what_is_no_order_file_is_told_by_its_line() {
    wait(async {
        let folder = tempfile::tempdir().unwrap();
        let source = OrderFiles::new(folder.path());
        assert_eq!(source.describe("icd10cm").await.unwrap_err().class, Class::Config, "nothing is there");
        let broken = file(&[("X99", false)]) + "canary X99\r\n";
        std::fs::write(folder.path().join("icd10cm_order_2026.txt"), broken).unwrap();
        let problem = whole(&source, "icd10cm").await.unwrap_err();
        assert!(problem.place.ends_with("icd10cm_order_2026.txt:2"), "{problem}");
        assert!(!format!("{problem:?}").contains("canary"), "{problem:?}");
        assert_eq!(source.describe("others").await.unwrap_err().class, Class::Config);
        let nowhere = OrderFiles::new(folder.path().join("nowhere"));
        assert_eq!(nowhere.describe("icd10cm").await.unwrap_err().class, Class::Config);
    });
}
