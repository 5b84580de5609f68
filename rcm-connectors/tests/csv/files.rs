//! The corpus, and what files are beside their text: packed, encoded, larger than a piece.

use crate::corpus::{Case, Expected, cases};
use arrow::array::{Array, AsArray};
use flate2::Compression;
use flate2::write::GzEncoder;
use rcm_connectors::csv::{self, Encoding, Format, Landing, Reader, Rows};
use rcm_core::Problem;
use std::io::{Cursor, Read, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Rows by number, line and values; rejects by number, line, byte, why and raw bytes.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    columns: Vec<String>,
    rows: Vec<(u64, u64, Vec<String>)>,
    rejects: Vec<(u64, u64, u64, String, Vec<u8>)>,
}

fn outcome(schema: &arrow::datatypes::Schema, batches: &[Rows], rejects: &[csv::Reject]) -> Outcome {
    let mut rows = Vec::new();
    for read in batches {
        let texts: Vec<_> = read.batch.columns().iter().map(|column| column.as_string::<i32>()).collect();
        for row in 0..read.batch.num_rows() {
            let values = texts.iter().map(|texts| texts.value(row).to_owned()).collect();
            rows.push((read.rows[row] as u64, read.lines[row] as u64, values));
        }
    }
    let rejects = rejects.iter().map(|r| (r.row, r.line, r.byte, r.what.clone(), r.raw.clone())).collect();
    Outcome { columns: schema.fields().iter().map(|field| field.name().clone()).collect(), rows, rejects }
}

fn of_landing(landing: &Landing) -> Outcome {
    assert_eq!(landing.records, landing.rows() + landing.rejects.len() as u64, "records are rows and rejects");
    outcome(&landing.schema, &landing.batches, &landing.rejects)
}

fn read(bytes: &[u8], format: &Format) -> Result<Outcome, Problem> {
    csv::read(bytes, "f.csv", format).map(|landing| of_landing(&landing))
}

/// The same by one thread.
fn read_by_one(bytes: &[u8], format: &Format) -> Result<Outcome, Problem> {
    let reader = Reader::new(bytes, "f.csv", format)?;
    let schema = reader.schema().clone();
    let batches = reader.collect::<Result<Vec<_>, _>>()?;
    let rejects: Vec<csv::Reject> = batches.iter().flat_map(|rows| rows.rejects.clone()).collect();
    Ok(outcome(&schema, &batches, &rejects))
}

fn format(case: &Case) -> Format {
    let encoding = match case.encoding {
        Some("latin1") => Some(Encoding::Latin1),
        Some("utf-16le") => Some(Encoding::Utf16Le),
        Some("utf-16be") => Some(Encoding::Utf16Be),
        // By its mark.
        _ => None,
    };
    Format { encoding, delimiter: Some(case.delimiter), quote: case.quote, escape: case.escape }
}

#[test]
fn every_file_of_the_corpus_comes_to_what_it_must() {
    let (mut rows, mut rejects, mut refused) = (0, 0, 0);
    for case in cases() {
        let (format, name) = (format(case), case.name);
        let (read, by_one) = (read(case.bytes, &format), read_by_one(case.bytes, &format));
        assert_eq!(read, by_one, "{name}: one thread and several");
        match (read, &case.expected) {
            (Err(problem), Expected::Refused(class)) => {
                assert_eq!(problem.class, *class, "{name}: {problem}");
                refused += 1;
            }
            (Ok(read), Expected::Read { columns, rows: expected, rejects: broken }) => {
                assert_eq!(read.columns, *columns, "{name}");
                let found: Vec<_> = read.rows.iter().map(|(n, line, values)| (*n, *line, values.clone())).collect();
                let owned = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
                let expected: Vec<_> = expected.iter().map(|(n, line, values)| (*n, *line, owned(values))).collect();
                assert_eq!(found, expected, "{name}");
                let found: Vec<_> =
                    read.rejects.iter().map(|(n, line, byte, what, _)| (*n, *line, *byte, &**what)).collect();
                assert_eq!(found, *broken, "{name}");
                let is_transcoded = format.encoding.is_some() || case.bytes[0] >= 0xFE;
                for (_, _, byte, what, raw) in read.rejects.iter().filter(|_| !is_transcoded) {
                    // All of the record, and no more.
                    let rest = case.bytes[*byte as usize..].strip_prefix(raw.as_slice()).unwrap();
                    let is_all = match rest {
                        [] => true,
                        [b'\r' | b'\n', ..] => what != "a quote is never closed",
                        _ => false,
                    };
                    assert!(is_all && !raw.is_empty(), "{name}: raw bytes");
                }
                typed_is_raw(case, &read);
                (rows, rejects) = (rows + expected.len(), rejects + broken.len());
            }
            (other, _) => panic!("{name}: {other:?}"),
        }
    }
    println!("{} files: {rows} rows, {rejects} rejects, {refused} refused", cases().count());
    assert_eq!((cases().count(), rows, rejects, refused), (228, 398, 152, 32));
}

/// Read as typed text, a value is the same, and null only where nothing stands.
fn typed_is_raw(case: &Case, raw: &Outcome) {
    let reader = Reader::new(case.bytes, "f.csv", &format(case)).unwrap();
    let schema = reader.schema().clone();
    let mut values = raw.rows.iter().map(|(_, _, values)| values);
    for rows in reader.typed(&schema).unwrap() {
        let batch = rows.unwrap().batch;
        for (row, raw) in (0..batch.num_rows()).map(|row| (row, values.next().unwrap())) {
            for (column, raw) in batch.columns().iter().zip(raw) {
                let texts = column.as_string::<i32>();
                let is_right = if texts.is_null(row) { raw.is_empty() } else { texts.value(row) == raw };
                assert!(is_right, "{}: {raw:?}", case.name);
            }
        }
    }
    assert_eq!(values.next(), None, "{}", case.name);
}

/// Where pieces meet must not matter: a text behind so many rows that a seam falls on every third of its bytes.
#[test]
fn a_seam_between_two_pieces_may_fall_anywhere() {
    const PIECE: usize = 1 << 18;
    let text = b"\"x\r\n\"\"y\",2\r\r\n\"\",\"\"\n\n5\" pipe,6\n7\n\"8\"z,9\n\xff,1\r\n\"1,\n\n2\",3\r\n";
    let small = read(&[b"a,b\n".as_slice(), text].concat(), &Format::default()).unwrap();
    assert_eq!((small.rows.len(), small.rejects.len()), (4, 3));
    for before in (0..=text.len()).step_by(3) {
        // As many bytes of rows as the seam is in front of.
        let mut rows = PIECE - before;
        let mut bytes = b"a,b\n".to_vec();
        let mut count = 0;
        while rows > 0 {
            let row = if rows < 2000 { rows } else { 1000 };
            bytes.extend(std::iter::repeat_n(b'r', row - 3).chain(*b",1\n"));
            (rows, count) = (rows - row, count + 1);
        }
        let at = bytes.len() as u64 - 4;
        bytes.extend_from_slice(text);
        let large = read(&bytes, &Format::default()).unwrap();
        if before.is_multiple_of(12) {
            assert_eq!(read_by_one(&bytes, &Format::default()).unwrap(), large, "{before}");
        }
        let moved: Vec<_> =
            small.rows.iter().map(|(n, line, values)| (n + count, line + count, values.clone())).collect();
        assert_eq!(large.rows[count as usize..], moved, "{before}");
        let moved = small
            .rejects
            .iter()
            .map(|(n, line, byte, what, raw)| (n + count, line + count, byte + at, what.clone(), raw.clone()));
        assert_eq!(large.rejects, moved.collect::<Vec<_>>(), "{before}");
    }
}

#[test]
fn a_record_without_end_is_kept_in_parts() {
    let row = b"in a quote that nobody closes, line by line\r\n";
    let mut bytes = b"a,b\n1,2\n3,\"".to_vec();
    while bytes.len() < 20 << 20 {
        bytes.extend_from_slice(row);
    }
    let open = read_by_one(&bytes, &Format::default()).unwrap();
    let raw: Vec<u8> = open.rejects.iter().flat_map(|(.., raw)| raw.clone()).collect();
    assert_eq!((open.rows.len(), open.rejects.len()), (1, 2));
    assert!(bytes.ends_with(&raw) && raw.starts_with(b"3,\"in a quote"), "no byte is lost");
    assert!(open.rejects.iter().all(|(_, _, _, what, _)| what.starts_with("a record longer than 16 MiB")));
    // Where it is closed after all, the rows behind it are rows.
    bytes.extend_from_slice(b"\"\n4,5\n");
    let closed = read(&bytes, &Format::default()).unwrap();
    let values: Vec<&[String]> = closed.rows.iter().map(|(_, _, values)| &values[..]).collect();
    assert_eq!(values, [["1", "2"], ["4", "5"]]);
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
    assert_eq!(closed.rows[1].1, lines);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn zip(files: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        archive.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn unpacked(bytes: &[u8]) -> Result<Outcome, Problem> {
    let landing = csv::read(csv::unpack(Cursor::new(bytes), "f.csv")?, "f.csv", &Format::default())?;
    Ok(of_landing(&landing))
}

#[test]
fn a_packed_file_is_the_file() {
    let text: Vec<u8> = (0..3_000).fold(b"a,b\n".to_vec(), |mut text, n| {
        text.extend(format!("{n},\"{}\n\"\n", n * 7919 % 10_007).bytes());
        text
    });
    let plain = unpacked(&text).unwrap();
    assert_eq!(plain.rows.len(), 3_000);
    let halves = [gzip(&text[..9_000]), gzip(&text[9_000..])].concat();
    let deflated = zip(&[("claims/2026.csv", &text)], CompressionMethod::Deflated);
    let stored = zip(&[("claims.csv", &text)], CompressionMethod::Stored);
    for packed in [gzip(&text), halves, deflated, stored] {
        assert_eq!(unpacked(&packed).unwrap(), plain);
        // Cut short it never looks whole; nor with a byte that is another.
        for n in 0..60 {
            let cut = packed.len() * n / 60;
            if cut > 8 {
                assert!(unpacked(&packed[..cut]).is_err(), "cut at {cut} of {}", packed.len());
            }
            let mut damaged = packed.clone();
            damaged[packed.len() * n / 60] ^= 0x20;
            let is_found_or_harmless = unpacked(&damaged).map_or(true, |read| read == plain);
            assert!(is_found_or_harmless || n == 0, "damaged at {n}/60");
        }
    }
}

#[test]
fn archives_that_play_tricks_are_refused() {
    let two = zip(&[("a.csv", b"a\n1\n"), ("b.csv", b"a\n2\n")], CompressionMethod::Deflated);
    let none = zip(&[], CompressionMethod::Deflated);
    let up = zip(&[("../../etc/cron.d/a.csv", b"a\n1\n")], CompressionMethod::Deflated);
    let windows = zip(&[("..\\a.csv", b"a\n1\n")], CompressionMethod::Deflated);
    let twice = two.iter().map(|byte| if *byte == b'b' { b'a' } else { *byte }).collect();
    // The bits that say that a password is needed, in the file's own head and in the directory.
    let mut locked = zip(&[("a.csv", b"a\n1\n")], CompressionMethod::Stored);
    let directory = locked.windows(4).position(|four| four == b"PK\x01\x02").unwrap();
    (locked[6], locked[directory + 8]) = (locked[6] | 1, locked[directory + 8] | 1);
    let mut link = ZipWriter::new(Cursor::new(Vec::new()));
    link.add_symlink("a.csv", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    let link = link.finish().unwrap().into_inner();
    for (archive, why) in [
        (two, "several"),
        (twice, "several"),
        (locked, "password"),
        (none, "no file"),
        (up, "outside"),
        (windows, "outside"),
        (link, "outside"),
    ] {
        let problem = unpacked(&archive).unwrap_err();
        assert!(problem.what.contains(why) && problem.hint.is_some(), "{problem}");
    }
    // 17 MiB of zeros in some KiB.
    let zeros = vec![b'0'; 17 << 20];
    let members = gzip(&zeros[..1 << 20]).repeat(17);
    for bomb in [members, zip(&[("a.csv", &zeros)], CompressionMethod::Deflated)] {
        let error = std::io::copy(&mut csv::unpack(Cursor::new(bomb), "f.csv").unwrap(), &mut std::io::sink());
        let error = error.unwrap_err();
        assert!(error.to_string().contains("200 times its size"), "{error}");
    }
}

#[test]
fn every_encoding_gives_the_same_text() {
    let mut tried = [0; 2];
    for case in cases().filter(|case| case.encoding.is_none()) {
        let Ok(text) = std::str::from_utf8(case.bytes) else { continue };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.starts_with('\u{feff}') {
            continue; // A second mark would be a first one here.
        }
        let plain = read(text.as_bytes(), &format(case));
        let units: Vec<u16> = text.encode_utf16().collect();
        let [low, high] =
            [u16::to_le_bytes, u16::to_be_bytes].map(|bytes| units.iter().flat_map(|n| bytes(*n)).collect());
        let marked = |mark: [u8; 2], bytes: &Vec<u8>| [mark.to_vec(), bytes.clone()].concat();
        let (with_low, with_high) = (marked([0xFF, 0xFE], &low), marked([0xFE, 0xFF], &high));
        let declared = |encoding| Format { encoding: Some(encoding), ..format(case) };
        for (bytes, format) in [
            (with_low, format(case)),
            (with_high, declared(Encoding::Utf16Be)),
            (low, declared(Encoding::Utf16Le)),
            (high, declared(Encoding::Utf16Be)),
        ] {
            assert_eq!(read(&bytes, &format), plain, "{}", case.name);
        }
        tried[0] += 1;
        if text.chars().all(|c| (c as u32) < 0x80 || (0xA0..=0xFF).contains(&(c as u32))) {
            let bytes: Vec<u8> = text.chars().map(|c| c as u8).collect();
            assert_eq!(read(&bytes, &declared(Encoding::Latin1)), plain, "{}", case.name);
            tried[1] += 1;
        }
    }
    assert!(tried.iter().all(|tried| *tried > 50), "{tried:?}");
    let problem = read(b"\xff\xfea\0", &Format { encoding: Some(Encoding::Latin1), ..Format::default() }).unwrap_err();
    assert!(problem.what.contains("mark of UTF-16"), "{problem}");
}

#[test]
fn a_format_that_contradicts_itself_is_refused() {
    let quoted = Format { delimiter: None, quote: Some(b','), ..Format::default() };
    assert_eq!(read(b"a;b\n,1,;2\n;\n,,\n", &quoted).unwrap().rows.len(), 2, "another delimiter is found");
    assert!(Format { quote: Some(0), ..Format::default() }.fault().is_some());
    for (delimiter, quote, escape) in [
        (b'"', Some(b'"'), None),
        (b'\n', None, None),
        (b',', Some(b'\r'), None),
        (b',', Some(b'"'), Some(b'"')),
        (0xA7, None, None),
    ] {
        let format = Format { delimiter: Some(delimiter), quote, escape, ..Format::default() };
        assert_eq!(read(b"a\n", &format).unwrap_err().class, rcm_core::Class::Config);
    }
}

#[test]
fn a_delimiter_that_nobody_declared_is_found() {
    let undeclared = Format { delimiter: None, ..Format::default() };
    for (text, expected) in [
        ("a;b\n1,5;x\n2,5;y\n", b';'),
        ("\"Last, First\";Paid\n\"Nu, Oma\";1,5\n", b';'),
        ("a\tb,c\tc\n1\t2\t3\n", b'\t'),
        ("a|b\n1|\"2;3;4\"\n", b'|'),
        ("a,b;c\n1,2\n3,4\n5,6;7\n", b','),
        ("a,b\n1;2\n3;4\n", b','),
        ("alone\n1;2\n", b','),
    ] {
        let reader = Reader::new(text.as_bytes(), "f.csv", &undeclared).unwrap();
        assert_eq!(reader.delimiter() as char, expected as char, "{text}");
    }
    // As good as declared, wherever a corpus's file has its own.
    let found = cases().filter(|case| case.encoding.is_none() && case.escape.is_none()).filter(|case| {
        let declared = read(case.bytes, &format(case));
        declared.is_ok() && declared == read(case.bytes, &Format { delimiter: None, ..format(case) })
    });
    let found = found.count();
    assert!(found > 150, "{found} of {}", cases().count());
}

/// An input that fails for once.
struct Fails(Cursor<Vec<u8>>, bool);

impl Read for Fails {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(out)? {
            0 if !std::mem::replace(&mut self.1, true) => Err(std::io::Error::other("the line broke")),
            count => Ok(count),
        }
    }
}

#[test]
fn behind_an_input_that_failed_nothing_comes() {
    let text = format!("a,b\n{}", "1,2\n".repeat(40_000));
    for bytes in [text.clone().into_bytes(), text.encode_utf16().flat_map(u16::to_le_bytes).collect()] {
        let encoding = (bytes[1] == 0).then_some(Encoding::Utf16Le);
        let format = Format { encoding, ..Format::default() };
        let mut reader = Reader::new(Fails(Cursor::new(bytes), false), "f.csv", &format).unwrap();
        assert!(reader.next().unwrap().is_err());
        assert!(reader.next().is_none() && reader.next_in_parallel().unwrap().is_empty());
        assert!(!format!("{reader:?}").contains("1,2"));
    }
}

/// An inch mark is text; it leads to another path, on which nothing may grow with what was read before.
#[test]
fn quotes_in_plain_fields_are_text_however_many_they_are() {
    let text = format!("a,b\n{}", "pipe of 5\" for the north wing,1\n".repeat(100_000));
    let reader = Reader::new(text.as_bytes(), "f.csv", &Format::default()).unwrap();
    assert_eq!(reader.map(|rows| rows.unwrap().batch.num_rows()).sum::<usize>(), 100_000);
}
