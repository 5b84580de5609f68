//! UTF-8: marks, names of everywhere, and bytes that are none.

use super::{Case, Expected, PLAIN};
use rcm_core::Class;

pub(super) const CASES: &[Case] = &[
    // Byte order marks.
    Case {
        name: "a mark, and its bytes count",
        bytes: b"\xef\xbb\xbfID,Name\n1,Ann\n2\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "Ann"])],
            rejects: &[(2, 3, 17, "1 field, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "a mark before a quoted name",
        bytes: b"\xef\xbb\xbf\"ID\",\"Na,me\"\r\n\"1\",\"Ann\"\r\n",
        expected: Expected::Read { columns: &["ID", "Na,me"], rows: &[(1, 2, &["1", "Ann"])], rejects: &[] },
        ..PLAIN
    },
    Case {
        name: "two marks: the second is of the name",
        bytes: b"\xef\xbb\xbf\xef\xbb\xbfID,Name\n1,Ann\n",
        expected: Expected::Read { columns: &["\u{feff}ID", "Name"], rows: &[(1, 2, &["1", "Ann"])], rejects: &[] },
        ..PLAIN
    },
    Case {
        name: "two marks before a quote make it text",
        bytes: b"\xef\xbb\xbf\xef\xbb\xbf\"ID\",Name\n1,Ann\n",
        expected: Expected::Read { columns: &["\u{feff}\"ID\"", "Name"], rows: &[(1, 2, &["1", "Ann"])], rejects: &[] },
        ..PLAIN
    },
    Case {
        name: "marks in the middle are text",
        bytes: b"ID,Name\n1,Ann\n\xef\xbb\xbf2,Bo\n\xef\xbb\xbf\"3\",Cy\n4,\xef\xbb\xbf\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[
                (1, 2, &["1", "Ann"]),
                (2, 3, &["\u{feff}2", "Bo"]),
                (3, 4, &["\u{feff}\"3\"", "Cy"]),
                (4, 5, &["4", "\u{feff}"]),
            ],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "a mark and nothing else",
        bytes: b"\xef\xbb\xbf",
        expected: Expected::Refused(Class::Failed),
        ..PLAIN
    },
    Case {
        name: "a mark and empty lines",
        bytes: b"\xef\xbb\xbf\r\n\n\r",
        expected: Expected::Refused(Class::Failed),
        ..PLAIN
    },
    Case {
        name: "half a mark",
        bytes: b"\xef\xbbID,Name\n1,Ann\n",
        expected: Expected::Refused(Class::Drift),
        ..PLAIN
    },
    // Text as people and places are named.
    Case {
        name: "names of one to four bytes a character",
        bytes: b"ID,Name\n1,Zo\xc3\xab\n2,\xc5\x81ucja\n3,\xe5\x85\x89\xe5\xad\x90\n4,\xf0\xa0\xae\xb7\xe9\x87\x8e\n\
            5,\xf0\x9f\xa9\xba\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[
                (1, 2, &["1", "Zoë"]),
                (2, 3, &["2", "Łucja"]),
                (3, 4, &["3", "光子"]),
                (4, 5, &["4", "\u{20bb7}野"]),
                (5, 6, &["5", "\u{1fa7a}"]),
            ],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "names from right to left, with their marks",
        bytes: b"ID,Name\n1,\xd7\xa0\xd7\x95\xd7\xa2\xd7\x94\n\
            2,\xe2\x80\xae\xd9\x85\xd8\xb1\xd9\x8a\xd9\x85\xe2\x80\xac\n3,\xe2\x80\x8fAnn\xe2\x80\x8f, x\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[
                (1, 2, &["1", "\u{5e0}\u{5d5}\u{5e2}\u{5d4}"]),
                (2, 3, &["2", "\u{202e}\u{645}\u{631}\u{64a}\u{645}\u{202c}"]),
            ],
            rejects: &[(3, 4, 36, "3 fields, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "joiners and marks that are not seen",
        bytes: b"ID,Name\n1,\xf0\x9f\x91\xa9\xe2\x80\x8d\xe2\x9a\x95\xef\xb8\x8f\n2,na\xe2\x80\x8cme\n\
            3,A\xe2\x80\x8bnn\n4,\xc2\xad\n5,\xe2\x81\xa0Bo\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[
                (1, 2, &["1", "\u{1f469}\u{200d}\u{2695}\u{fe0f}"]),
                (2, 3, &["2", "na\u{200c}me"]),
                (3, 4, &["3", "A\u{200b}nn"]),
                (4, 5, &["4", "\u{ad}"]),
                (5, 6, &["5", "\u{2060}Bo"]),
            ],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "the same name composed and decomposed",
        bytes: b"ID,Name\n1,Zo\xc3\xab\n2,Zoe\xcc\x88\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "Zoë"]), (2, 3, &["2", "Zoe\u{308}"])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "blanks of other kinds are text",
        bytes: b"ID,Name\n1,\xc2\xa0\n2,\xc2\xa0Ann\xe3\x80\x80\n3,\xe2\x80\x87\xe2\x80\xaf\n\xc2\xa0\n4, Bo \n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[
                (1, 2, &["1", "\u{a0}"]),
                (2, 3, &["2", "\u{a0}Ann\u{3000}"]),
                (3, 4, &["3", "\u{2007}\u{202f}"]),
                (5, 6, &["4", " Bo "]),
            ],
            rejects: &[(4, 5, 33, "1 field, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "a non-breaking blank before a quote makes it text",
        bytes: b"ID,Name\n1,\xc2\xa0\"Ann\"\n2,\xc2\xa0\"Nu, Oma\"\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "\u{a0}\"Ann\""])],
            rejects: &[(2, 3, 18, "3 fields, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "characters that look like delimiters and quotes",
        bytes: b"ID,Name\n1,a\xef\xbc\x8cb\xd8\x8cc\xcd\xbed\n2,\xca\xbaAnn\xca\xba\n3,\xe3\x80\x81\xef\xbc\x9b\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[
                (1, 2, &["1", "a\u{ff0c}b\u{60c}c\u{37e}d"]),
                (2, 3, &["2", "\u{2ba}Ann\u{2ba}"]),
                (3, 4, &["3", "\u{3001}\u{ff1b}"]),
            ],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "the first and last characters of every length",
        bytes: b"ID,Note\n1,\x01\x7f\n2,\xc2\x80\xdf\xbf\n3,\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\n\
            4,\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\n",
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[
                (1, 2, &["1", "\x01\x7f"]),
                (2, 3, &["2", "\u{80}\u{7ff}"]),
                (3, 4, &["3", "\u{800}\u{d7ff}\u{e000}\u{ffff}"]),
                (4, 5, &["4", "\u{10000}\u{10ffff}"]),
            ],
            rejects: &[],
        },
        ..PLAIN
    },
    // What another program lost is lost; it is not ours to guess.
    Case {
        name: "characters that stand for lost ones are right",
        bytes: b"ID,Name\n1,Zo\xef\xbf\xbd\n2,Zo?\n3,\xef\xbf\xbe\n4,Zo\xc3\x83\xc2\xab\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[
                (1, 2, &["1", "Zo\u{fffd}"]),
                (2, 3, &["2", "Zo?"]),
                (3, 4, &["3", "\u{fffe}"]),
                (4, 5, &["4", "ZoÃ\u{ab}"]),
            ],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "NULs are text",
        bytes: b"ID,Name\n1,A\0nn\n\0,\0\0\n3,\"\0\"\n\0\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "A\0nn"]), (2, 3, &["\0", "\0\0"]), (3, 4, &["3", "\0"])],
            rejects: &[(4, 5, 26, "1 field, expected 2")],
        },
        ..PLAIN
    },
    // Bytes that are no UTF-8.
    Case {
        name: "one value of Latin-1 among UTF-8",
        bytes: b"ID,Name\n1,Zo\xc3\xab\n2,Zo\xeb\n3,\x93Cy\x94\n4,Di\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "Zoë"]), (4, 5, &["4", "Di"])],
            rejects: &[(2, 3, 15, "bytes that are no UTF-8"), (3, 4, 21, "bytes that are no UTF-8")],
        },
        ..PLAIN
    },
    Case {
        name: "characters written longer than they are",
        bytes: b"ID,Name\n1,\xc0\xaf\n2,\xe0\x80\xac\n3,\xf0\x80\x80\xa2\n4,\xc1\xbf\n5,\xc0\x80\n6,Ed\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(6, 7, &["6", "Ed"])],
            rejects: &[
                (1, 2, 8, "bytes that are no UTF-8"),
                (2, 3, 13, "bytes that are no UTF-8"),
                (3, 4, 19, "bytes that are no UTF-8"),
                (4, 5, 26, "bytes that are no UTF-8"),
                (5, 6, 31, "bytes that are no UTF-8"),
            ],
        },
        ..PLAIN
    },
    // The first is CESU-8, as some databases write what lies beyond 16 bits.
    Case {
        name: "surrogates in UTF-8",
        bytes: b"ID,Name\n1,\xed\xa0\xbd\xed\xb8\x80\n2,\xed\xa0\x80\n3,\xed\xbf\xbf\n4,Di\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(4, 5, &["4", "Di"])],
            rejects: &[
                (1, 2, 8, "bytes that are no UTF-8"),
                (2, 3, 17, "bytes that are no UTF-8"),
                (3, 4, 23, "bytes that are no UTF-8"),
            ],
        },
        ..PLAIN
    },
    Case {
        name: "bytes beyond the last character",
        bytes: b"ID,Name\n1,\xf4\x90\x80\x80\n2,\xf8\x88\x80\x80\x80\n3,\xfe\n4,\xff\n5,Ed\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(5, 6, &["5", "Ed"])],
            rejects: &[
                (1, 2, 8, "bytes that are no UTF-8"),
                (2, 3, 15, "bytes that are no UTF-8"),
                (3, 4, 23, "bytes that are no UTF-8"),
                (4, 5, 27, "bytes that are no UTF-8"),
            ],
        },
        ..PLAIN
    },
    // The delimiter, quote or line end behind a cut character is one.
    Case {
        name: "cut characters take nothing with them",
        bytes: b"ID,Name\n1\xe2\x82,Ann\n2,\xf0\x9f\xa9\n3,\"\xc3\"\n\"4\xe2\",\"Di\"\n5,\"\xf0\n\"\n6,Flo\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(6, 8, &["6", "Flo"])],
            rejects: &[
                (1, 2, 8, "bytes that are no UTF-8"),
                (2, 3, 16, "bytes that are no UTF-8"),
                (3, 4, 22, "bytes that are no UTF-8"),
                (4, 5, 28, "bytes that are no UTF-8"),
                (5, 6, 38, "bytes that are no UTF-8"),
            ],
        },
        ..PLAIN
    },
    Case {
        name: "a character cut by a delimiter, and bytes without a first one",
        bytes: b"ID,Name\n\xc3,\xab\n2,\x80\n3,\xab\xc3\n4,Di\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(4, 5, &["4", "Di"])],
            rejects: &[
                (1, 2, 8, "bytes that are no UTF-8"),
                (2, 3, 12, "bytes that are no UTF-8"),
                (3, 4, 16, "bytes that are no UTF-8"),
            ],
        },
        ..PLAIN
    },
    Case {
        name: "the file is cut inside a character",
        bytes: b"ID,Name\n1,Ann\n2,Zo\xc3",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "Ann"])],
            rejects: &[(2, 3, 14, "bytes that are no UTF-8")],
        },
        ..PLAIN
    },
    Case {
        name: "width is told before UTF-8",
        bytes: b"ID,Name\n\xff\n1,\xff,\xff\n1,Ann\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(3, 4, &["1", "Ann"])],
            rejects: &[(1, 2, 8, "1 field, expected 2"), (2, 3, 10, "3 fields, expected 2")],
        },
        ..PLAIN
    },
];
