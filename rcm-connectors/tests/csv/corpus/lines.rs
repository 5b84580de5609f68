//! Line ends: every kind, none, too many, and those that are none.

use super::{Case, Expected, PLAIN};

pub(super) const CASES: &[Case] = &[
    // The kinds.
    Case {
        name: "line feeds, none behind the last record",
        bytes: b"Claim,CPT,Fee\nC1,90001,80.00\nC2,90002,95.50",
        expected: Expected::Read {
            columns: &["Claim", "CPT", "Fee"],
            rows: &[(1, 2, &["C1", "90001", "80.00"]), (2, 3, &["C2", "90002", "95.50"])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "carriage return and line feed",
        bytes: b"ID,Name\r\n1,Ann\r\n2,Bo\r\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "Ann"]), (2, 3, &["2", "Bo"])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "lone carriage returns",
        bytes: b"ID,Name\r1,Ann\r2,Bo\r",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "Ann"]), (2, 3, &["2", "Bo"])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "lone carriage returns, all quoted",
        bytes: b"\"ID\",\"Name\"\r\"1\",\"Ann\"\r\"2\",\"Bo\"",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "Ann"]), (2, 3, &["2", "Bo"])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "three kinds of line ends in one file",
        bytes: b"ID,Name\n1,Ann\r\n2,Bo\r3,Cy\r\n4,Di\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "Ann"]), (2, 3, &["2", "Bo"]), (3, 4, &["3", "Cy"]), (4, 5, &["4", "Di"])],
            rejects: &[],
        },
        ..PLAIN
    },
    // Two line ends, the second of an empty line.
    Case {
        name: "line feed before carriage return",
        bytes: b"ID,Name\n\r1,Ann\n\r2,Bo\n\r",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 3, &["1", "Ann"]), (2, 5, &["2", "Bo"])],
            rejects: &[],
        },
        ..PLAIN
    },
    // What a program makes that translates line ends twice.
    Case {
        name: "two carriage returns before each line feed",
        bytes: b"ID,Name\r\r\n1,Ann\r\r\n2\r\r\n3,Cy\r\r\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 3, &["1", "Ann"]), (3, 7, &["3", "Cy"])],
            rejects: &[(2, 5, 18, "1 field, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "a quoted value ends the file",
        bytes: b"ID,Name\r\n1,\"Ann\"",
        expected: Expected::Read { columns: &["ID", "Name"], rows: &[(1, 2, &["1", "Ann"])], rejects: &[] },
        ..PLAIN
    },
    // Empty lines and lines of blanks.
    Case {
        name: "empty lines before the header",
        bytes: b"\n\r\n\rID,Name\n1,Ann\n2\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 5, &["1", "Ann"])],
            rejects: &[(2, 6, 18, "1 field, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "empty lines between and behind the records",
        bytes: b"ID,Name\n\n\n1,Ann\n\r\n2,Bo\n\r\r\n\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 4, &["1", "Ann"]), (2, 6, &["2", "Bo"])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "seventy empty lines",
        bytes: b"ID,Name\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\
            \n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n1,Ann\n2\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 72, &["1", "Ann"])],
            rejects: &[(2, 73, 84, "1 field, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "a line of blanks is a record",
        bytes: b"ID,Name\n1,Ann\n   \n\t\n2,Bo\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "Ann"]), (4, 5, &["2", "Bo"])],
            rejects: &[(2, 3, 14, "1 field, expected 2"), (3, 4, 18, "1 field, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "one column: blanks and quoted nothings are rows, empty lines are none",
        bytes: b"Note\na\n\n\"\"\n\n   \nb\n\n",
        expected: Expected::Read {
            columns: &["Note"],
            rows: &[(1, 2, &["a"]), (2, 4, &[""]), (3, 6, &["   "]), (4, 7, &["b"])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "a last line of one comma",
        bytes: b"ID,Name\n1,Ann\n,",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "Ann"]), (2, 3, &["", ""])],
            rejects: &[],
        },
        ..PLAIN
    },
    // Inside quotes, and what is no line end.
    Case {
        name: "every kind of line end inside quotes",
        bytes: b"ID,Note\n1,\"a\nb\"\n2,\"a\r\nb\"\n3,\"a\rb\"\n4,\"\n\r\n\r\"\n5,x\n",
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[
                (1, 2, &["1", "a\nb"]),
                (2, 4, &["2", "a\r\nb"]),
                (3, 6, &["3", "a\rb"]),
                (4, 8, &["4", "\n\r\n\r"]),
                (5, 12, &["5", "x"]),
            ],
            rejects: &[],
        },
        ..PLAIN
    },
    // duckdb#7578: a reader in pieces looks for the next line end and lands inside a value.
    Case {
        name: "empty lines inside quotes are of the value",
        bytes: b"ID,Note\n1,\"\n\n\"\n\n2,\"a\n\nb\"\n3,c\n",
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[(1, 2, &["1", "\n\n"]), (2, 6, &["2", "a\n\nb"]), (3, 9, &["3", "c"])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "a value that looks like records",
        bytes: b"ID,Note\n1,\"2,x\n3,y\n4,z\"\n5,w\n",
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[(1, 2, &["1", "2,x\n3,y\n4,z"]), (2, 5, &["5", "w"])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "the lines of a reject count",
        bytes: b"ID,Name\n1,\"a\r\nb\rc\",x\n2,Bo\n3,\"d\n\",\n4,Di\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(2, 5, &["2", "Bo"]), (4, 8, &["4", "Di"])],
            rejects: &[(1, 2, 8, "3 fields, expected 2"), (3, 6, 26, "3 fields, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "a lone carriage return in a bare value cuts it",
        bytes: b"ID,Note\n1,up\rdown\n2,ok\n",
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[(1, 2, &["1", "up"]), (3, 4, &["2", "ok"])],
            rejects: &[(2, 3, 13, "1 field, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "other separators of ASCII and Unicode are text",
        bytes: b"ID,Note\n1,a\x0bb\x0cc\n2,a\x1cb\x1dc\x1ed\n3,a\xc2\x85b\xe2\x80\xa8c\xe2\x80\xa9d\n4,x\n",
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[
                (1, 2, &["1", "a\x0bb\x0cc"]),
                (2, 3, &["2", "a\x1cb\x1dc\x1ed"]),
                (3, 4, &["3", "a\u{85}b\u{2028}c\u{2029}d"]),
                (4, 5, &["4", "x"]),
            ],
            rejects: &[],
        },
        ..PLAIN
    },
];
