//! Delimiters, other quotes, no quotes, escapes.

use super::{Case, Expected, PLAIN};

pub(super) const CASES: &[Case] = &[
    // Delimiters.
    Case {
        name: "semicolons and decimal commas",
        bytes: b"Claim;Fee\nC1;1.234,56\nC2;\"80,00;x\"\nC3;1;2\n",
        delimiter: b';',
        expected: Expected::Read {
            columns: &["Claim", "Fee"],
            rows: &[(1, 2, &["C1", "1.234,56"]), (2, 3, &["C2", "80,00;x"])],
            rejects: &[(3, 4, 35, "3 fields, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "tabs, with commas and blanks in the values",
        bytes: b"ID\tName\n1\tNu, Oma\n2\t Bo \n3\t\n\tDi\n4 Ed\n",
        delimiter: b'\t',
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "Nu, Oma"]), (2, 3, &["2", " Bo "]), (3, 4, &["3", ""]), (4, 5, &["", "Di"])],
            rejects: &[(5, 6, 32, "1 field, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "pipes",
        bytes: b"ID|Name\n1|\"a|b\"\n2|a,b\n3|a||b\n4|\"\"\"|\"\n",
        delimiter: b'|',
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "a|b"]), (2, 3, &["2", "a,b"]), (4, 5, &["4", "\"|"])],
            rejects: &[(3, 4, 22, "4 fields, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "the separators of ASCII",
        bytes: b"ID\x1fName\n1\x1fNu, Oma\n2\x1f\"a\x1fb\"\n3\x1e\n",
        delimiter: b'\x1f',
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "Nu, Oma"]), (2, 3, &["2", "a\x1fb"])],
            rejects: &[(3, 4, 26, "1 field, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "Ctrl-A, as Hive writes",
        bytes: b"ID\x01Name\n1\x01a,b\n2\x01\\N\n",
        delimiter: b'\x01',
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "a,b"]), (2, 3, &["2", "\\N"])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "blanks as delimiters",
        bytes: b"ID Name\n1 Ann\n2  Bo\n \n3 \"Nu Oma\"\n",
        delimiter: b' ',
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "Ann"]), (3, 4, &["", ""]), (4, 5, &["3", "Nu Oma"])],
            rejects: &[(2, 3, 14, "3 fields, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "NULs as delimiters",
        bytes: b"ID\0Name\n1\0Ann\n2\0\"a\0b\"\n",
        delimiter: b'\0',
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "Ann"]), (2, 3, &["2", "a\0b"])],
            rejects: &[],
        },
        ..PLAIN
    },
    // A file of one column: the mapping will find none of its own.
    Case {
        name: "a delimiter that is not the file's",
        bytes: b"ID;Name\n1;Ann\n2;Nu, Oma\n",
        expected: Expected::Read {
            columns: &["ID;Name"],
            rows: &[(1, 2, &["1;Ann"])],
            rejects: &[(2, 3, 14, "2 fields, expected 1")],
        },
        ..PLAIN
    },
    // Other quotes, and none.
    Case {
        name: "single quotes as quotes",
        bytes: b"ID,Name\n1,'Nu, Oma'\n2,'O''Mal'\n3,\"Cy\"\n4,O'Mal\n5,'a\nb'\n6,'Ed'x\n7,'\n",
        quote: Some(b'\''),
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[
                (1, 2, &["1", "Nu, Oma"]),
                (2, 3, &["2", "O'Mal"]),
                (3, 4, &["3", "\"Cy\""]),
                (4, 5, &["4", "O'Mal"]),
                (5, 6, &["5", "a\nb"]),
            ],
            rejects: &[(6, 8, 54, "text behind a closing quote"), (7, 9, 62, "a quote is never closed")],
        },
        ..PLAIN
    },
    Case {
        name: "no quotes: they are text",
        bytes: b"\"ID\",Name\n1,\"Ann\"\n2,\"Nu, Oma\"\n3,\"Cy\n4,\"Di\"x\n\"\n",
        quote: None,
        expected: Expected::Read {
            columns: &["\"ID\"", "Name"],
            rows: &[(1, 2, &["1", "\"Ann\""]), (3, 4, &["3", "\"Cy"]), (4, 5, &["4", "\"Di\"x"])],
            rejects: &[(2, 3, 18, "3 fields, expected 2"), (5, 6, 44, "1 field, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "no quotes: a line end always ends a record",
        bytes: b"ID\tNote\n1\t\"a\nb\"\n2\tx\n",
        delimiter: b'\t',
        quote: None,
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[(1, 2, &["1", "\"a"]), (3, 4, &["2", "x"])],
            rejects: &[(2, 3, 13, "1 field, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "no quotes: an escape is text",
        bytes: b"ID,Note\n1,a\\,b\n2,\\\n3,\\\"\n",
        quote: None,
        escape: Some(b'\\'),
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[(2, 3, &["2", "\\"]), (3, 4, &["3", "\\\""])],
            rejects: &[(1, 2, 8, "3 fields, expected 2")],
        },
        ..PLAIN
    },
    // Escapes.
    Case {
        name: "escaped quotes",
        bytes: b"ID,Note\n1,\"say \\\"no\\\" now\"\n2,\"\\\"\"\n3,\"\\\"\\\"\"\n4,x\n",
        escape: Some(b'\\'),
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[
                (1, 2, &["1", "say \"no\" now"]),
                (2, 3, &["2", "\""]),
                (3, 4, &["3", "\"\""]),
                (4, 5, &["4", "x"]),
            ],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "escaped and doubled quotes in one value",
        bytes: b"ID,Note\n1,\"a \\\"b\\\" \"\"c\"\"\"\n2,\"\\\"\"\"\"\n3,\"\"\"\\\"\"\n4,x\n",
        escape: Some(b'\\'),
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[
                (1, 2, &["1", "a \"b\" \"c\""]),
                (2, 3, &["2", "\"\""]),
                (3, 4, &["3", "\"\""]),
                (4, 5, &["4", "x"]),
            ],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "escaped escapes",
        bytes: b"ID,Path\n1,\"C:\\\\scans\\\\\"\n2,\"\\\\\"\n3,\"\\\\\\\"\"\n4,x\n",
        escape: Some(b'\\'),
        expected: Expected::Read {
            columns: &["ID", "Path"],
            rows: &[(1, 2, &["1", "C:\\scans\\"]), (2, 3, &["2", "\\"]), (3, 4, &["3", "\\\""]), (4, 5, &["4", "x"])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "an escape makes every byte itself, no control character",
        bytes: b"ID,Note\n1,\"a\\nb\\tc\"\n2,\"\\N\\0\\,\\'\"\n3,\"Zo\\\xc3\xab\"\n",
        escape: Some(b'\\'),
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[(1, 2, &["1", "anbtc"]), (2, 3, &["2", "N0,'"]), (3, 4, &["3", "Zoë"])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "escaped line ends",
        bytes: b"ID,Note\n1,\"a\\\nb\"\n2,\"a\\\r\nb\"\n3,\"a\\\rb\"\n4,x\n",
        escape: Some(b'\\'),
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[(1, 2, &["1", "a\nb"]), (2, 4, &["2", "a\r\nb"]), (3, 6, &["3", "a\rb"]), (4, 8, &["4", "x"])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "outside quotes an escape is text",
        bytes: b"ID,Note\n1,a\\b\n2,a\\,b\n3,\\N\n4,\\\"a\\\"\n5,c\\\n6,x\n",
        escape: Some(b'\\'),
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[
                (1, 2, &["1", "a\\b"]),
                (3, 4, &["3", "\\N"]),
                (4, 5, &["4", "\\\"a\\\""]),
                (5, 6, &["5", "c\\"]),
                (6, 7, &["6", "x"]),
            ],
            rejects: &[(2, 3, 14, "3 fields, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "a path that escapes its closing quote",
        bytes: b"ID,Path\n1,x\n2,\"C:\\scans\\\"\n3,y\n",
        escape: Some(b'\\'),
        expected: Expected::Read {
            columns: &["ID", "Path"],
            rows: &[(1, 2, &["1", "x"])],
            rejects: &[(2, 3, 12, "a quote is never closed")],
        },
        ..PLAIN
    },
    Case {
        name: "an escape is the last byte",
        bytes: b"ID,Note\n1,x\n2,\"a\\",
        escape: Some(b'\\'),
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[(1, 2, &["1", "x"])],
            rejects: &[(2, 3, 12, "a quote is never closed")],
        },
        ..PLAIN
    },
    Case {
        name: "an escape behind a closing quote is text there",
        bytes: b"ID,Note\n1,\"a\"\\\"b\"\n2,\"\"\\\n3,x\n",
        escape: Some(b'\\'),
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[(3, 4, &["3", "x"])],
            rejects: &[(1, 2, 8, "text behind a closing quote"), (2, 3, 18, "text behind a closing quote")],
        },
        ..PLAIN
    },
    Case {
        name: "an escape before a byte that is no UTF-8",
        bytes: b"ID,Note\n1,\"\\\xff\"\n2,\"\\\xc3\"\n3,x\n",
        escape: Some(b'\\'),
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[(3, 4, &["3", "x"])],
            rejects: &[(1, 2, 8, "bytes that are no UTF-8"), (2, 3, 15, "bytes that are no UTF-8")],
        },
        ..PLAIN
    },
    // The value is UTF-8, though its bytes in the file are not.
    Case {
        name: "an escape inside a character",
        bytes: b"ID,Note\n1,\"\xc3\\\xab\"\n2,x\n",
        escape: Some(b'\\'),
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[(2, 3, &["2", "x"])],
            rejects: &[(1, 2, 8, "bytes that are no UTF-8")],
        },
        ..PLAIN
    },
    // Who pairs quotes without escapes takes the lone carriage return for the file's line end.
    Case {
        name: "an escaped quote, then a quoted line end",
        bytes: b"ID,Note\r\n\"\\\"\",\"\r\"\r\n2,x\r\n",
        escape: Some(b'\\'),
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[(1, 2, &["\"", "\r"]), (2, 4, &["2", "x"])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "another escape than the backslash",
        bytes: b"ID,Note\n1,\"a^\"b\"\n2,\"^^\"\n3,\"\\\"\n4,^x\n",
        escape: Some(b'^'),
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[(1, 2, &["1", "a\"b"]), (2, 3, &["2", "^"]), (3, 4, &["3", "\\"]), (4, 5, &["4", "^x"])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "escapes in quoted names",
        bytes: b"\"I\\\"D\",\"Na\\\\me\"\n1,x\n",
        escape: Some(b'\\'),
        expected: Expected::Read { columns: &["I\"D", "Na\\me"], rows: &[(1, 2, &["1", "x"])], rejects: &[] },
        ..PLAIN
    },
];
