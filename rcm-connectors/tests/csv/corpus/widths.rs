//! Widths, and places where a reader that takes blocks of bytes may slip.

use super::{Case, Expected, PLAIN};

pub(super) const CASES: &[Case] = &[
    // Too few and too many.
    // duckdb#14177, #13197: good rows beside a broken one were dropped or made null. sling#385: short ones were padded.
    Case {
        name: "one field too few, one too many",
        bytes: b"ID,Name,Fee\n1,Ann,80\n2,Bo\n3,Cy,90,x\n4,Di,70\n5\n6,Ed,60\n",
        expected: Expected::Read {
            columns: &["ID", "Name", "Fee"],
            rows: &[(1, 2, &["1", "Ann", "80"]), (4, 5, &["4", "Di", "70"]), (6, 7, &["6", "Ed", "60"])],
            rejects: &[
                (2, 3, 21, "2 fields, expected 3"),
                (3, 4, 26, "4 fields, expected 3"),
                (5, 6, 44, "1 field, expected 3"),
            ],
        },
        ..PLAIN
    },
    Case {
        name: "every other record is broken",
        bytes: b"ID,Name\n1\n2,Bo\n3,Cy,x\n4,Di\n5\n6,Ed\n7,Flo,,\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(2, 3, &["2", "Bo"]), (4, 5, &["4", "Di"]), (6, 7, &["6", "Ed"])],
            rejects: &[
                (1, 2, 8, "1 field, expected 2"),
                (3, 4, 15, "3 fields, expected 2"),
                (5, 6, 27, "1 field, expected 2"),
                (7, 8, 34, "4 fields, expected 2"),
            ],
        },
        ..PLAIN
    },
    Case {
        name: "no record is right",
        bytes: b"ID,Name\n1\n2,Bo,x\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[],
            rejects: &[(1, 2, 8, "1 field, expected 2"), (2, 3, 10, "3 fields, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "one column, a comma too many",
        bytes: b"Note\na\nb,c\n\"d,e\"\n,\nf\n",
        expected: Expected::Read {
            columns: &["Note"],
            rows: &[(1, 2, &["a"]), (3, 4, &["d,e"]), (5, 6, &["f"])],
            rejects: &[(2, 3, 7, "2 fields, expected 1"), (4, 5, 17, "2 fields, expected 1")],
        },
        ..PLAIN
    },
    Case {
        name: "nothing but delimiters",
        bytes: b"ID,Name,Fee\n,,\n,\n,,,\n1,Ann,\n",
        expected: Expected::Read {
            columns: &["ID", "Name", "Fee"],
            rows: &[(1, 2, &["", "", ""]), (4, 5, &["1", "Ann", ""])],
            rejects: &[(2, 3, 15, "2 fields, expected 3"), (3, 4, 17, "4 fields, expected 3")],
        },
        ..PLAIN
    },
    Case {
        name: "a name with a bare comma",
        bytes: b"ID,Name,Fee\n1,Nu, Oma,80\n2,\"Nu, Oma\",80\n",
        expected: Expected::Read {
            columns: &["ID", "Name", "Fee"],
            rows: &[(2, 3, &["2", "Nu, Oma", "80"])],
            rejects: &[(1, 2, 12, "4 fields, expected 3")],
        },
        ..PLAIN
    },
    Case {
        name: "an amount with a bare comma",
        bytes: b"Claim,Fee\nC1,$1,234.50\nC2,\"$1,234.50\"\nC3,\"1,234\"\n",
        expected: Expected::Read {
            columns: &["Claim", "Fee"],
            rows: &[(2, 3, &["C2", "$1,234.50"]), (3, 4, &["C3", "1,234"])],
            rejects: &[(1, 2, 10, "3 fields, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "the file is cut inside a record",
        bytes: b"Claim,CPT,Fee\nC1,90001,80.00\nC2,900",
        expected: Expected::Read {
            columns: &["Claim", "CPT", "Fee"],
            rows: &[(1, 2, &["C1", "90001", "80.00"])],
            rejects: &[(2, 3, 29, "2 fields, expected 3")],
        },
        ..PLAIN
    },
    // Nothing in the bytes tells it from a whole one.
    Case {
        name: "the file is cut inside the last value",
        bytes: b"Claim,CPT,Fee\nC1,90001,80.00\nC2,90002,9",
        expected: Expected::Read {
            columns: &["Claim", "CPT", "Fee"],
            rows: &[(1, 2, &["C1", "90001", "80.00"]), (2, 3, &["C2", "90002", "9"])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "two records lost their line end",
        bytes: b"ID,Name\n1,Ann2,Bo\n3,Cy\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(2, 3, &["3", "Cy"])],
            rejects: &[(1, 2, 8, "3 fields, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "a record of 70 fields",
        bytes: b"ID,Name\n1,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,\n2,Bo\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(2, 3, &["2", "Bo"])],
            rejects: &[(1, 2, 8, "70 fields, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "a header of 26 columns",
        bytes: b"A,B,C,D,E,F,G,H,I,J,K,L,M,N,O,P,Q,R,S,T,U,V,W,X,Y,Z\n,,,,,,,,,,,,,,,,,,,,,,,,\n\
            ,,,,,,,,,,,,,,,,,,,,,,,,,,\n",
        expected: Expected::Read {
            columns: &[
                "A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M", "N", "O", "P", "Q", "R", "S", "T",
                "U", "V", "W", "X", "Y", "Z",
            ],
            rows: &[],
            rejects: &[(1, 2, 52, "25 fields, expected 26"), (2, 3, 77, "27 fields, expected 26")],
        },
        ..PLAIN
    },
    // Small.
    Case {
        name: "one byte",
        bytes: b"A",
        expected: Expected::Read { columns: &["A"], rows: &[], rejects: &[] },
        ..PLAIN
    },
    Case {
        name: "one column, one value of one byte",
        bytes: b"A\n0",
        expected: Expected::Read { columns: &["A"], rows: &[(1, 2, &["0"])], rejects: &[] },
        ..PLAIN
    },
    Case {
        name: "the shortest rows of two columns",
        bytes: b"A,B\n,\n,\n",
        expected: Expected::Read { columns: &["A", "B"], rows: &[(1, 2, &["", ""]), (2, 3, &["", ""])], rejects: &[] },
        ..PLAIN
    },
    // Across the 64th byte: what a scan in blocks must carry over.
    Case {
        name: "a delimiter is the last byte of a block",
        bytes: b"ID,Note\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx,1\n2,y\n",
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[(1, 2, &["xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "1"]), (2, 3, &["2", "y"])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "CR and LF in two blocks",
        bytes: b"ID,Note\n1,xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n2,y\r\n3\r\n",
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[(1, 2, &["1", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"]), (2, 3, &["2", "y"])],
            rejects: &[(3, 4, 70, "1 field, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "a lone CR is the last byte of a block",
        bytes: b"ID,Note\n1,xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r2,y\r3\r",
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[(1, 2, &["1", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"]), (2, 3, &["2", "y"])],
            rejects: &[(3, 4, 68, "1 field, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "a doubled quote in two blocks",
        bytes: b"ID,Note\n1,\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"\",y\n\"\n2,z\n",
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[(1, 2, &["1", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\",y\n"]), (2, 4, &["2", "z"])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "a closing quote ends a block, a line end begins the next",
        bytes: b"ID,Note\n1,\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"\n\"2\",\"z\"\n",
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[(1, 2, &["1", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"]), (2, 3, &["2", "z"])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "a closing quote ends a block, text begins the next",
        bytes: b"ID,Note\n1,\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"z\n\"2\",\"z\"\n",
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[(2, 3, &["2", "z"])],
            rejects: &[(1, 2, 8, "text behind a closing quote")],
        },
        ..PLAIN
    },
    Case {
        name: "an opening quote is the last byte of a block",
        bytes: b"ID,Note\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx,\"a,b\nc\"\n2,d\n",
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[(1, 2, &["xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "a,b\nc"]), (2, 4, &["2", "d"])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "a whole block of quotes",
        bytes: b"ID,Note\n\
            xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx,\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\
            \"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\n2,y\n",
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[
                (
                    1,
                    2,
                    &[
                        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
                        "\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"",
                    ],
                ),
                (2, 3, &["2", "y"]),
            ],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "a whole block inside quotes",
        bytes: b"ID,Note\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx,\"a,b\na,b\na,b\na,b\na,b\na,b\na,b\n\
            a,b\na,b\na,b\na,b\na,b\na,b\na,b\na,b\na,b\n\"\n2,y\n3\n",
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[
                (
                    1,
                    2,
                    &[
                        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
                        "a,b\na,b\na,b\na,b\na,b\na,b\na,b\na,b\na,b\na,b\na,b\na,b\na,b\na,b\na,b\na,b\n",
                    ],
                ),
                (2, 19, &["2", "y"]),
            ],
            rejects: &[(3, 20, 134, "1 field, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "a character of four bytes in two blocks",
        bytes: b"ID,Note\n1,xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\xf0\x9f\xa9\xba\n2,y\n",
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[
                (1, 2, &["1", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\u{1fa7a}"]),
                (2, 3, &["2", "y"]),
            ],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "half a character at the end of a block",
        bytes: b"ID,Note\n1,xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\xc3\n2,y\n",
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[(2, 3, &["2", "y"])],
            rejects: &[(1, 2, 8, "bytes that are no UTF-8")],
        },
        ..PLAIN
    },
    Case {
        name: "an escape ends a block, its quote begins the next",
        bytes: b"ID,Note\n1,\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\\\",y\n\"\n2,z\n",
        escape: Some(b'\\'),
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[(1, 2, &["1", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\",y\n"]), (2, 4, &["2", "z"])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "escapes in even and odd number across a block",
        bytes: b"ID,Note\n1,\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\\\\\\\"\"\n\
            2,\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\\\\\"\n3,z\n",
        escape: Some(b'\\'),
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[
                (1, 2, &["1", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\\\""]),
                (2, 3, &["2", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\\"]),
                (3, 4, &["3", "z"]),
            ],
            rejects: &[],
        },
        ..PLAIN
    },
];
