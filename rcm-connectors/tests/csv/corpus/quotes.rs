//! Quotes: right ones, those that are text, text behind them, and those that are never closed.

use super::{Case, Expected, PLAIN};

pub(super) const CASES: &[Case] = &[
    // Right quotes.
    Case {
        name: "every field quoted, as NPPES does",
        bytes: b"\"NPI\",\"Name\",\"State\"\n\"9990000001\",\"NU, OMA\",\"\"\n\"9990000002\",\"\",\"ZZ\"\n",
        expected: Expected::Read {
            columns: &["NPI", "Name", "State"],
            rows: &[(1, 2, &["9990000001", "NU, OMA", ""]), (2, 3, &["9990000002", "", "ZZ"])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "doubled quotes",
        bytes: b"ID,Note\n1,\"say \"\"no\"\" now\"\n2,\"\"\"\"\n3,\"\"\"\"\"\"\n4,\"\"\"a\"\"\"\n5,\"a\"\"\"\n6,x\n",
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[
                (1, 2, &["1", "say \"no\" now"]),
                (2, 3, &["2", "\""]),
                (3, 4, &["3", "\"\""]),
                (4, 5, &["4", "\"a\""]),
                (5, 6, &["5", "a\""]),
                (6, 7, &["6", "x"]),
            ],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "a quoted record inside a value",
        bytes: b"ID,Note\n1,\"2,\"\"x\"\"\n3,\"\"y\"\"\"\n4,z\n",
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[(1, 2, &["1", "2,\"x\"\n3,\"y\""]), (2, 4, &["4", "z"])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "values of nothing but delimiters and line ends",
        bytes: b"\"ID\",\"Note\"\n\",\",\",,\"\n\"\n\",\",\n,\"\n1,x\n",
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[(1, 2, &[",", ",,"]), (2, 3, &["\n", ",\n,"]), (3, 6, &["1", "x"])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "quoted and bare nothing are the same",
        bytes: b"ID,Name,Fee\n\"\",,\"\"\n,\"\",\n",
        expected: Expected::Read {
            columns: &["ID", "Name", "Fee"],
            rows: &[(1, 2, &["", "", ""]), (2, 3, &["", "", ""])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "blanks inside quotes and around bare values stay",
        bytes: b"ID,Name\n\" 1 \", Ann \n2\t,\"\tBo\"\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &[" 1 ", " Ann "]), (2, 3, &["2\t", "\tBo"])],
            rejects: &[],
        },
        ..PLAIN
    },
    // Quotes that are text.
    Case {
        name: "quotes inside bare values",
        bytes: b"ID,Note\n1,5\" pipe\n2,O\"\"Mal\n3,x\"\n4,a\"b\"c\n",
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[
                (1, 2, &["1", "5\" pipe"]),
                (2, 3, &["2", "O\"\"Mal"]),
                (3, 4, &["3", "x\""]),
                (4, 5, &["4", "a\"b\"c"]),
            ],
            rejects: &[],
        },
        ..PLAIN
    },
    // Counting quotes tells nothing here: the bare ones make the count odd.
    Case {
        name: "bare quotes before quoted line ends",
        bytes: b"ID,Size,Note\n1,6\",\"a\nb\"\n2,7\",\"c,d\"\n3,8\",\"\"\"\"\n4,9,e\n",
        expected: Expected::Read {
            columns: &["ID", "Size", "Note"],
            rows: &[
                (1, 2, &["1", "6\"", "a\nb"]),
                (2, 4, &["2", "7\"", "c,d"]),
                (3, 5, &["3", "8\"", "\""]),
                (4, 6, &["4", "9", "e"]),
            ],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "a blank before a quote makes it text",
        bytes: b"ID,Name\n1, \"Ann\"\n2,\t\"Bo\"\n3, \"Nu, Oma\"\n4, \"Cy\n5,Di\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[
                (1, 2, &["1", " \"Ann\""]),
                (2, 3, &["2", "\t\"Bo\""]),
                (4, 5, &["4", " \"Cy"]),
                (5, 6, &["5", "Di"]),
            ],
            rejects: &[(3, 4, 25, "3 fields, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "single quotes are text",
        bytes: b"ID,Name\n1,'Ann'\n2,'Nu, Oma'\n3,O'Mal\n4,'\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "'Ann'"]), (3, 4, &["3", "O'Mal"]), (4, 5, &["4", "'"])],
            rejects: &[(2, 3, 16, "3 fields, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "typographic quotes are text",
        bytes: b"ID,Name\n1,\xe2\x80\x9cAnn\xe2\x80\x9d\n2,\xe2\x80\x9cNu, Oma\xe2\x80\x9d\n3,\xc2\xabCy\xc2\xbb\n\
            4,\xef\xbc\x82Di\xef\xbc\x82\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[
                (1, 2, &["1", "\u{201c}Ann\u{201d}"]),
                (3, 4, &["3", "\u{ab}Cy\u{bb}"]),
                (4, 5, &["4", "\u{ff02}Di\u{ff02}"]),
            ],
            rejects: &[(2, 3, 20, "3 fields, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "a backslash is text where no escape is declared",
        bytes: b"ID,Path\n1,\"C:\\scans\\\"\n2,\"\\\\host\\x\\\"\n3,a\\\n4,\\\"\n",
        expected: Expected::Read {
            columns: &["ID", "Path"],
            rows: &[
                (1, 2, &["1", "C:\\scans\\"]),
                (2, 3, &["2", "\\\\host\\x\\"]),
                (3, 4, &["3", "a\\"]),
                (4, 5, &["4", "\\\""]),
            ],
            rejects: &[],
        },
        ..PLAIN
    },
    // Text behind a closing quote.
    Case {
        name: "text behind a closing quote",
        bytes: b"ID,Name\n1,\"Ann\"e\n2,Bo\n\"3\"x,Cy\n4,Di\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(2, 3, &["2", "Bo"]), (4, 5, &["4", "Di"])],
            rejects: &[(1, 2, 8, "text behind a closing quote"), (3, 4, 22, "text behind a closing quote")],
        },
        ..PLAIN
    },
    Case {
        name: "a blank behind a closing quote",
        bytes: b"ID,Name\n1,\"Ann\" \n\"2\" ,Bo\n\"3\",Cy\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(3, 4, &["3", "Cy"])],
            rejects: &[(1, 2, 8, "text behind a closing quote"), (2, 3, 17, "text behind a closing quote")],
        },
        ..PLAIN
    },
    Case {
        name: "a NUL behind a closing quote",
        bytes: b"ID,Name\n1,\"Ann\"\0\n2,Bo\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(2, 3, &["2", "Bo"])],
            rejects: &[(1, 2, 8, "text behind a closing quote")],
        },
        ..PLAIN
    },
    Case {
        name: "text behind a closing quote at the end of the file",
        bytes: b"ID,Name\n1,Ann\n2,\"Bo\"x",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "Ann"])],
            rejects: &[(2, 3, 14, "text behind a closing quote")],
        },
        ..PLAIN
    },
    Case {
        name: "quotes behind a closing quote open nothing",
        bytes: b"ID,Name\n1,\"a\"b\"\n2,Bo\n3,\"a\" \"b\n4,Di\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(2, 3, &["2", "Bo"]), (4, 5, &["4", "Di"])],
            rejects: &[(1, 2, 8, "text behind a closing quote"), (3, 4, 21, "text behind a closing quote")],
        },
        ..PLAIN
    },
    Case {
        name: "values quoted twice",
        bytes: b"ID,Name\n1,\"\"Ann\"\"\n2,\"\"Nu, Oma\"\"\n3,Cy\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(3, 4, &["3", "Cy"])],
            rejects: &[(1, 2, 8, "text behind a closing quote"), (2, 3, 18, "text behind a closing quote")],
        },
        ..PLAIN
    },
    Case {
        name: "quotes after backslashes where no escape is declared",
        bytes: b"ID,Note,By\n1,\"say \\\"no\\\" now\",Ann\n2,ok,Bo\n",
        expected: Expected::Read {
            columns: &["ID", "Note", "By"],
            rows: &[(2, 3, &["2", "ok", "Bo"])],
            rejects: &[(1, 2, 11, "text behind a closing quote")],
        },
        ..PLAIN
    },
    Case {
        name: "quotes inside a quoted value, not doubled",
        bytes: b"ID,Name\n1,\"Ann \"Nan\" Oma\"\n2,Bo\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(2, 3, &["2", "Bo"])],
            rejects: &[(1, 2, 8, "text behind a closing quote")],
        },
        ..PLAIN
    },
    Case {
        name: "a record goes on in quotes after text behind a closing quote",
        bytes: b"ID,A,B\n1,\"a\"b,\"c\nd\"\n2,e,f\n",
        expected: Expected::Read {
            columns: &["ID", "A", "B"],
            rows: &[(2, 4, &["2", "e", "f"])],
            rejects: &[(1, 2, 7, "text behind a closing quote")],
        },
        ..PLAIN
    },
    // Quotes that are never closed.
    Case {
        name: "a quote is never closed in the last record",
        bytes: b"ID,Name\n1,Ann\n2,\"Bo",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "Ann"])],
            rejects: &[(2, 3, 14, "a quote is never closed")],
        },
        ..PLAIN
    },
    Case {
        name: "a quote that takes the rest of the file",
        bytes: b"ID,Name\n1,Ann\n2,\"Bo\n3,Cy\n4,Di\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "Ann"])],
            rejects: &[(2, 3, 14, "a quote is never closed")],
        },
        ..PLAIN
    },
    Case {
        name: "a quote is the last byte",
        bytes: b"ID,Name\n1,Ann\n\"",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "Ann"])],
            rejects: &[(2, 3, 14, "a quote is never closed")],
        },
        ..PLAIN
    },
    Case {
        name: "a doubled quote closes nothing",
        bytes: b"ID,Name\n1,Ann\n2,\"Bo\"\"",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "Ann"])],
            rejects: &[(2, 3, 14, "a quote is never closed")],
        },
        ..PLAIN
    },
    // One reject that holds both records, not one row of two patients.
    Case {
        name: "an open quote that the next record's quote closes",
        bytes: b"ID,Name\n1,\"Ann\n2,\"Bo\"\n3,\"Cy\"\n4,Di\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(2, 4, &["3", "Cy"]), (3, 5, &["4", "Di"])],
            rejects: &[(1, 2, 8, "text behind a closing quote")],
        },
        ..PLAIN
    },
    // Nothing tells it from a value of two lines.
    Case {
        name: "an open quote that the next record closes at its end",
        bytes: b"ID,Name\n1,\"Ann\n2,Bo\"\n3,Cy\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "Ann\n2,Bo"]), (2, 4, &["3", "Cy"])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "an open quote and a doubled one on the next line",
        bytes: b"ID,Name,Fee\n1,\"Ann\n\"\",80\n2,Bo,90\n",
        expected: Expected::Read {
            columns: &["ID", "Name", "Fee"],
            rows: &[],
            rejects: &[(1, 2, 12, "a quote is never closed")],
        },
        ..PLAIN
    },
    Case {
        name: "faults of quotes between lone carriage returns",
        bytes: b"ID,Name\r1,\"Ann\"x\r2,Bo\r\"3\"\"\r",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(2, 3, &["2", "Bo"])],
            rejects: &[(1, 2, 8, "text behind a closing quote"), (3, 4, 22, "a quote is never closed")],
        },
        ..PLAIN
    },
    // The first fault of a record is told.
    Case {
        name: "an open quote before the end, and the fault before it",
        bytes: b"ID,A,B\n1,a,b\n2,\"c\"d,\"e\n3,f,g\n",
        expected: Expected::Read {
            columns: &["ID", "A", "B"],
            rows: &[(1, 2, &["1", "a", "b"])],
            rejects: &[(2, 3, 13, "text behind a closing quote")],
        },
        ..PLAIN
    },
    // Which fault is told: quotes, then width, then UTF-8.
    Case {
        name: "quotes before width and UTF-8",
        bytes: b"ID,Name\n1,\"Ann\"e,\xff\n2,Bo\n3,\xff,x\n4,x,\"\xff\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(2, 3, &["2", "Bo"])],
            rejects: &[
                (1, 2, 8, "text behind a closing quote"),
                (3, 4, 24, "3 fields, expected 2"),
                (4, 5, 30, "a quote is never closed"),
            ],
        },
        ..PLAIN
    },
];
