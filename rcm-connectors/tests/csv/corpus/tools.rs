//! What people's tools make: spreadsheets, databases, joined and cut files, and files that are no CSV at all.

use super::{Case, Expected, PLAIN};
use rcm_core::Class;

pub(super) const CASES: &[Case] = &[
    // Spreadsheets.
    Case {
        name: "a spreadsheet's line that names its separator",
        bytes: b"sep=;\r\nID;Fee\r\n1;80\r\n2;80,5\r\n",
        expected: Expected::Read {
            columns: &["sep=;"],
            rows: &[(1, 2, &["ID;Fee"]), (2, 3, &["1;80"])],
            rejects: &[(3, 4, 21, "2 fields, expected 1")],
        },
        ..PLAIN
    },
    Case {
        name: "a spreadsheet's line that names its separator, read with it",
        bytes: b"sep=;\r\nID;Fee\r\n1;80\r\n",
        delimiter: b';',
        expected: Expected::Refused(Class::Drift),
        ..PLAIN
    },
    Case {
        name: "commas behind every record but the header",
        bytes: b"ID,Name\r\n1,Ann,,\r\n2,Bo,,\r\n3,Cy\r\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(3, 4, &["3", "Cy"])],
            rejects: &[(1, 2, 9, "4 fields, expected 2"), (2, 3, 18, "4 fields, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "rows of empty cells",
        bytes: b"ID,Name\r\n1,Ann\r\n,\r\n,\r\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "Ann"]), (2, 3, &["", ""]), (3, 4, &["", ""])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "cells that are formulas",
        bytes: b"ID,Code\n1,=\"00017\"\n2,\"=\"\"00017\"\"\"\n3,=2+3\n4,+1\n5,-1\n6,@SUM(A1:A9)\n7,=A1&B1\n",
        expected: Expected::Read {
            columns: &["ID", "Code"],
            rows: &[
                (1, 2, &["1", "=\"00017\""]),
                (2, 3, &["2", "=\"00017\""]),
                (3, 4, &["3", "=2+3"]),
                (4, 5, &["4", "+1"]),
                (5, 6, &["5", "-1"]),
                (6, 7, &["6", "@SUM(A1:A9)"]),
                (7, 8, &["7", "=A1&B1"]),
            ],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "a formula with bare commas and quotes",
        bytes: b"ID,Link\n1,=HYPERLINK(\"http://host.invalid\",\"x\")\n2,y\n",
        expected: Expected::Read {
            columns: &["ID", "Link"],
            rows: &[(2, 3, &["2", "y"])],
            rejects: &[(1, 2, 8, "text behind a closing quote")],
        },
        ..PLAIN
    },
    Case {
        name: "cells that a spreadsheet broke",
        bytes: b"ID,Code,Fee\n1,#N/A,#REF!\n2,########,#DIV/0!\n3,1-May,#VALUE!\n",
        expected: Expected::Read {
            columns: &["ID", "Code", "Fee"],
            rows: &[
                (1, 2, &["1", "#N/A", "#REF!"]),
                (2, 3, &["2", "########", "#DIV/0!"]),
                (3, 4, &["3", "1-May", "#VALUE!"]),
            ],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "numbers are text here",
        bytes: b"Code,Amount\n00017,1.20E+10\n0,-0.00\n+5,1e400\n5E2,.5\n0x1F,5.\n,(80.00)\n\
            99999999999999999999999999,80-\n1_000,NaN\n",
        expected: Expected::Read {
            columns: &["Code", "Amount"],
            rows: &[
                (1, 2, &["00017", "1.20E+10"]),
                (2, 3, &["0", "-0.00"]),
                (3, 4, &["+5", "1e400"]),
                (4, 5, &["5E2", ".5"]),
                (5, 6, &["0x1F", "5."]),
                (6, 7, &["", "(80.00)"]),
                (7, 8, &["99999999999999999999999999", "80-"]),
                (8, 9, &["1_000", "NaN"]),
            ],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "dates in many ways",
        bytes: b"ID,Day\n1,2024-02-13\n2,13/02/2024\n3,02/13/24\n4,13-Feb-24\n5,45335\n6,20240213\n\
            7,\"Feb 13, 2024\"\n8,2024-02-30\n9,0000-00-00 00:00:00\n",
        expected: Expected::Read {
            columns: &["ID", "Day"],
            rows: &[
                (1, 2, &["1", "2024-02-13"]),
                (2, 3, &["2", "13/02/2024"]),
                (3, 4, &["3", "02/13/24"]),
                (4, 5, &["4", "13-Feb-24"]),
                (5, 6, &["5", "45335"]),
                (6, 7, &["6", "20240213"]),
                (7, 8, &["7", "Feb 13, 2024"]),
                (8, 9, &["8", "2024-02-30"]),
                (9, 10, &["9", "0000-00-00 00:00:00"]),
            ],
            rejects: &[],
        },
        ..PLAIN
    },
    // Databases.
    Case {
        name: "words for nothing stay words",
        bytes: b"ID,Name\n1,NULL\n2,null\n3,\"NULL\"\n4,N/A\n5,None\n6,\\N\n7,-\n8,(null)\n9,\n10,\"\"\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[
                (1, 2, &["1", "NULL"]),
                (2, 3, &["2", "null"]),
                (3, 4, &["3", "NULL"]),
                (4, 5, &["4", "N/A"]),
                (5, 6, &["5", "None"]),
                (6, 7, &["6", "\\N"]),
                (7, 8, &["7", "-"]),
                (8, 9, &["8", "(null)"]),
                (9, 10, &["9", ""]),
                (10, 11, &["10", ""]),
            ],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "a rule below the header and a count below the rows",
        bytes: b"ID,Name\r\n--,----\r\n1,Ann\r\n\r\n(1 rows affected)\r\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["--", "----"]), (2, 3, &["1", "Ann"])],
            rejects: &[(3, 5, 27, "1 field, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "a table drawn for the eye",
        bytes: b" ID | Name\n----+------\n  1 | Ann\n  2 | Bo\n(2 rows)\n",
        delimiter: b'|',
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(2, 3, &["  1 ", " Ann"]), (3, 4, &["  2 ", " Bo"])],
            rejects: &[(1, 2, 11, "1 field, expected 2"), (4, 5, 42, "1 field, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "the end mark of a dump",
        bytes: b"ID\tName\n1\tAnn\n2\t\\N\n\\.\n",
        delimiter: b'\t',
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "Ann"]), (2, 3, &["2", "\\N"])],
            rejects: &[(3, 4, 19, "1 field, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "a dump ends in an error",
        bytes: b"ID,Name\n1,Ann\n2,Bo\nERROR: canceling statement due to user request\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "Ann"]), (2, 3, &["2", "Bo"])],
            rejects: &[(3, 4, 19, "1 field, expected 2")],
        },
        ..PLAIN
    },
    // A total of the right width is a row: what it is, rules tell.
    Case {
        name: "totals and a footer",
        bytes: b"Claim,CPT,Fee\nC1,90001,80.00\nC2,90002,95.50\nTotal,,175.50\nPage 1 of 1\n*** END OF REPORT ***,,\n",
        expected: Expected::Read {
            columns: &["Claim", "CPT", "Fee"],
            rows: &[
                (1, 2, &["C1", "90001", "80.00"]),
                (2, 3, &["C2", "90002", "95.50"]),
                (3, 4, &["Total", "", "175.50"]),
                (5, 6, &["*** END OF REPORT ***", "", ""]),
            ],
            rejects: &[(4, 5, 58, "1 field, expected 3")],
        },
        ..PLAIN
    },
    // Copied, joined and cut.
    Case {
        name: "two files joined, each with its header",
        bytes: b"ID,Name\n1,Ann\nID,Name\n2,Bo\n\xef\xbb\xbfID,Name\n3,Cy\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[
                (1, 2, &["1", "Ann"]),
                (2, 3, &["ID", "Name"]),
                (3, 4, &["2", "Bo"]),
                (4, 5, &["\u{feff}ID", "Name"]),
                (5, 6, &["3", "Cy"]),
            ],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "two files joined in the middle of a line",
        bytes: b"ID,Name\n1,AnnID,Name\n2,Bo\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(2, 3, &["2", "Bo"])],
            rejects: &[(1, 2, 8, "3 fields, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "marks of a merge conflict",
        bytes: b"ID,Name\n<<<<<<< HEAD\n1,Ann\n=======\n1,Anne\n>>>>>>> theirs\n2,Bo\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(2, 3, &["1", "Ann"]), (4, 5, &["1", "Anne"]), (6, 7, &["2", "Bo"])],
            rejects: &[
                (1, 2, 8, "1 field, expected 2"),
                (3, 4, 27, "1 field, expected 2"),
                (5, 6, 42, "1 field, expected 2"),
            ],
        },
        ..PLAIN
    },
    Case {
        name: "Ctrl-Z ends the file, and one before it does not",
        bytes: b"ID,Name\r\n1,A\x1ann\r\n2,Bo\r\n\x1a",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "A\x1ann"]), (2, 3, &["2", "Bo"])],
            rejects: &[(3, 4, 23, "1 field, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "Ctrl-Z in a file of one column is a row",
        bytes: b"Name\r\nAnn\r\n\x1a",
        expected: Expected::Read { columns: &["Name"], rows: &[(1, 2, &["Ann"]), (2, 3, &["\x1a"])], rejects: &[] },
        ..PLAIN
    },
    Case {
        name: "a tail of NULs after a crash",
        bytes: b"ID,Name\n1,Ann\n2,B\0\0\0\0\0\0\n\0\0\0\0\0\0\0\0",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "Ann"]), (2, 3, &["2", "B\0\0\0\0\0\0"])],
            rejects: &[(3, 4, 24, "1 field, expected 2")],
        },
        ..PLAIN
    },
    // No CSV at all.
    Case {
        name: "a page of HTML",
        bytes: b"<!DOCTYPE html>\n<html><body>\n<p>Session expired, log in</p>\n</body></html>\n",
        expected: Expected::Read {
            columns: &["<!DOCTYPE html>"],
            rows: &[(1, 2, &["<html><body>"]), (3, 4, &["</body></html>"])],
            rejects: &[(2, 3, 29, "2 fields, expected 1")],
        },
        ..PLAIN
    },
    Case {
        name: "XML",
        bytes: b"<?xml version=\"1.0\"?>\n<claims>\n<claim id=\"C1\" fee=\"80,00\"/>\n</claims>\n",
        expected: Expected::Read {
            columns: &["<?xml version=\"1.0\"?>"],
            rows: &[(1, 2, &["<claims>"]), (3, 4, &["</claims>"])],
            rejects: &[(2, 3, 31, "2 fields, expected 1")],
        },
        ..PLAIN
    },
    Case {
        name: "an array of JSON",
        bytes: b"[{\"ID\": 1, \"Name\": \"Ann\"},\n {\"ID\": 2, \"Name\": \"Bo\"}]\n",
        expected: Expected::Refused(Class::Drift),
        ..PLAIN
    },
    Case {
        name: "lines of JSON",
        bytes: b"{\"ID\": 1, \"Name\": \"Ann\"}\n{\"ID\": 2, \"Name\": \"Nu, Oma\"}\n{\"ID\": 3, \"Name\": \"Cy\"}\n",
        expected: Expected::Read {
            columns: &["{\"ID\": 1", "\"Name\": \"Ann\"}"],
            rows: &[(2, 3, &["{\"ID\": 3", " \"Name\": \"Cy\"}"])],
            rejects: &[(1, 2, 25, "3 fields, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "a claim in X12, one line",
        bytes: b"ISA*00*          *ZZ*SENDER~GS*HC*SENDER~ST*837*0001~SE*1*0001~",
        expected: Expected::Read {
            columns: &["ISA*00*          *ZZ*SENDER~GS*HC*SENDER~ST*837*0001~SE*1*0001~"],
            rows: &[],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "a message in HL7 v2",
        bytes: b"MSH|^~\\&|LAB||RCM||20240213\rPID|1||X1\r",
        delimiter: b'|',
        expected: Expected::Refused(Class::Drift),
        ..PLAIN
    },
    Case {
        name: "the first bytes of a zip, as of a workbook",
        bytes: b"PK\x03\x04\x14\0\x06\0\x08\0\0\0!\0\x9a\x05\xd1\xe7\xff\0\0[Content_Types].xml",
        expected: Expected::Refused(Class::Drift),
        ..PLAIN
    },
    Case {
        name: "the first bytes of gzip",
        bytes: b"\x1f\x8b\x08\0\0\0\0\0\0\x03K\xd4I",
        expected: Expected::Refused(Class::Drift),
        ..PLAIN
    },
    Case {
        name: "the first bytes of an old workbook",
        bytes: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0\0\0\0\0",
        expected: Expected::Refused(Class::Drift),
        ..PLAIN
    },
    Case {
        name: "the first bytes of Parquet",
        bytes: b"PAR1\x15\x04\x15\x80\x01\x15\xee\x01L\x15\x10",
        expected: Expected::Refused(Class::Drift),
        ..PLAIN
    },
    Case {
        name: "the first lines of a PDF",
        bytes: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n",
        expected: Expected::Read {
            columns: &["%PDF-1.7"],
            rows: &[(2, 3, &["1 0 obj"])],
            rejects: &[(1, 2, 9, "bytes that are no UTF-8")],
        },
        ..PLAIN
    },
    Case {
        name: "a disk of NULs",
        bytes: b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        expected: Expected::Read { columns: &["\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"], rows: &[], rejects: &[] },
        ..PLAIN
    },
];
