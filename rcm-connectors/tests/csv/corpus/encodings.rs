//! UTF-16 and Latin-1. The bytes of their rejects are those of the text in UTF-8, without its mark.

use super::{Case, Expected, PLAIN};
use rcm_core::Class;

pub(super) const CASES: &[Case] = &[
    // UTF-16 by its mark.
    Case {
        name: "UTF-16, little end first, nothing declared",
        bytes: b"\xff\xfeI\0D\0,\0N\0a\0m\0e\0\r\0\n\x001\0,\0Z\0o\0\xeb\0\r\0\n\x002\0\r\0\n\0",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "Zoë"])],
            rejects: &[(2, 3, 17, "1 field, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "UTF-16, big end first, nothing declared",
        bytes: b"\xfe\xff\0I\0D\0,\0N\0a\0m\0e\0\n\x001\0,\0Z\0o\0\xeb\0\n\x002\0\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "Zoë"])],
            rejects: &[(2, 3, 15, "1 field, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "UTF-16 declared, little end first",
        bytes: b"\xff\xfeI\0D\0,\0N\0a\0m\0e\0\n\x001\0,\0A\0n\0n\0\n\0",
        encoding: Some("utf-16"),
        expected: Expected::Read { columns: &["ID", "Name"], rows: &[(1, 2, &["1", "Ann"])], rejects: &[] },
        ..PLAIN
    },
    Case {
        name: "UTF-16 declared, big end first",
        bytes: b"\xfe\xff\0I\0D\0,\0N\0a\0m\0e\0\n\x001\0,\0A\0n\0n\0\n",
        encoding: Some("utf-16"),
        expected: Expected::Read { columns: &["ID", "Name"], rows: &[(1, 2, &["1", "Ann"])], rejects: &[] },
        ..PLAIN
    },
    Case {
        name: "UTF-16 with tabs, as a spreadsheet's Unicode text",
        bytes: b"\xff\xfeI\0D\0\t\0N\0a\0m\0e\0\r\0\n\x001\0\t\0\"\0N\0u\0\t\0O\0m\0a\0\"\0\r\0\n\
            \x002\0\t\0B\0o\0,\0 \0B\0\r\0\n\0",
        delimiter: b'\t',
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "Nu\tOma"]), (2, 3, &["2", "Bo, B"])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "UTF-16 with quotes, line ends inside them and a pair of surrogates",
        bytes: b"\xff\xfeI\0D\0,\0N\0o\0t\0e\0\r\0\n\x001\0,\0\"\0a\0\r\0\n\0b\0,\0 \0\"\0\"\0>\xd8z\xde\"\0\"\0\"\0\r\
            \0\n\x002\0,\0x\0",
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[(1, 2, &["1", "a\r\nb, \"\u{1fa7a}\""]), (2, 4, &["2", "x"])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "characters of UTF-16 whose bytes are delimiters, quotes and line ends",
        bytes: b"\xfe\xff\0I\0D\0,\0N\0o\0t\0e\0\n\x001\0,,\"\n\r\r\n\",\0\n\x002\0,\0x\0\n",
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[(1, 2, &["1", "\u{2c22}\u{a0d}\u{d0a}\u{222c}"]), (2, 3, &["2", "x"])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "a second mark in UTF-16 is of the name",
        bytes: b"\xff\xfe\xff\xfeI\0D\0,\0N\0a\0m\0e\0\n\x001\0,\0\xff\xfe\n\0",
        expected: Expected::Read {
            columns: &["\u{feff}ID", "Name"],
            rows: &[(1, 2, &["1", "\u{feff}"])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "UTF-16 with lone carriage returns and empty lines",
        bytes: b"\xfe\xff\0\r\0\r\0I\0D\0,\0N\0a\0m\0e\0\r\0\r\x001\0,\0A\0n\0n\0\r\x002\0\r",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 5, &["1", "Ann"])],
            rejects: &[(2, 6, 17, "1 field, expected 2")],
        },
        ..PLAIN
    },
    // UTF-16 without a mark.
    Case {
        name: "UTF-16 declared with its end, little end first",
        bytes: b"I\0D\0,\0N\0a\0m\0e\0\n\x001\0,\0Z\0o\0\xeb\0\n\0",
        encoding: Some("utf-16le"),
        expected: Expected::Read { columns: &["ID", "Name"], rows: &[(1, 2, &["1", "Zoë"])], rejects: &[] },
        ..PLAIN
    },
    Case {
        name: "UTF-16 declared with its end, big end first",
        bytes: b"\0I\0D\0,\0N\0a\0m\0e\0\n\x001\0,\0Z\0o\0\xeb\0\n",
        encoding: Some("utf-16be"),
        expected: Expected::Read { columns: &["ID", "Name"], rows: &[(1, 2, &["1", "Zoë"])], rejects: &[] },
        ..PLAIN
    },
    Case {
        name: "UTF-16 declared with its end, and a mark",
        bytes: b"\xff\xfeI\0D\0,\0N\0a\0m\0e\0\n\x001\0,\0A\0n\0n\0\n\0",
        encoding: Some("utf-16le"),
        expected: Expected::Read { columns: &["ID", "Name"], rows: &[(1, 2, &["1", "Ann"])], rejects: &[] },
        ..PLAIN
    },
    // No mark, nothing declared: read as UTF-8, in which a NUL is a character.
    Case {
        name: "UTF-16 that nobody declared is text full of NULs",
        bytes: b"I\0D\0,\0X\0\n\x001\0,\x002\0\n\0",
        expected: Expected::Read {
            columns: &["I\0D\0", "\0X\0"],
            rows: &[(1, 2, &["\x001\0", "\x002\0"])],
            rejects: &[(2, 3, 17, "1 field, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "UTF-32 begins with the mark of UTF-16",
        bytes: b"\xff\xfe\0\0I\0\0\0D\0\0\0\n\0\0\x001\0\0\0\n\0\0\0",
        expected: Expected::Read {
            columns: &["\0I\0D\0"],
            rows: &[(1, 2, &["\x001\0"]), (2, 3, &["\0"])],
            rejects: &[],
        },
        ..PLAIN
    },
    // UTF-16 that is broken.
    Case {
        name: "surrogates without their other half",
        bytes: b"\xff\xfeI\0D\0,\0N\0a\0m\0e\0\n\x001\0,\0=\xd8\n\x002\0,\0z\xdex\0\n\x003\0,\0z\xde=\xd8\n\
            \x004\0,\0D\0i\0\n\x005\0\n\0",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(4, 5, &["4", "Di"])],
            rejects: &[
                (1, 2, 8, "bytes that are no UTF-8"),
                (2, 3, 12, "bytes that are no UTF-8"),
                (3, 4, 17, "bytes that are no UTF-8"),
                (5, 6, 27, "1 field, expected 2"),
            ],
        },
        ..PLAIN
    },
    Case {
        name: "a surrogate before a delimiter or a quote takes neither",
        bytes: b"\xfe\xff\0I\0D\0,\0N\0a\0m\0e\0\n\x001\xd8=\0,\0A\0n\0n\0\n\x002\0,\0\"\xd8=\0\"\0\n\
            \x003\0,\0C\0y\0\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(3, 4, &["3", "Cy"])],
            rejects: &[(1, 2, 8, "bytes that are no UTF-8"), (2, 3, 15, "bytes that are no UTF-8")],
        },
        ..PLAIN
    },
    Case {
        name: "an odd last byte in the last value",
        bytes: b"\xff\xfeI\0D\0,\0N\0a\0m\0e\0\n\x001\0,\0A\0n\0n\0\n\x002\0,\0B\0o\0x",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "Ann"])],
            rejects: &[(2, 3, 14, "bytes that are no UTF-8")],
        },
        ..PLAIN
    },
    Case {
        name: "an odd last byte behind the last line end",
        bytes: b"\xff\xfeN\0a\0m\0e\0\n\0A\0n\0n\0\n\0\0",
        expected: Expected::Read {
            columns: &["Name"],
            rows: &[(1, 2, &["Ann"])],
            rejects: &[(2, 3, 9, "bytes that are no UTF-8")],
        },
        ..PLAIN
    },
    Case {
        name: "a mark of UTF-16 and nothing else",
        bytes: b"\xff\xfe",
        expected: Expected::Refused(Class::Failed),
        ..PLAIN
    },
    Case {
        name: "a mark of UTF-16 and empty lines",
        bytes: b"\xfe\xff\0\r\0\n\0\n",
        expected: Expected::Refused(Class::Failed),
        ..PLAIN
    },
    Case {
        name: "a mark of UTF-16 and half a character",
        bytes: b"\xff\xfeI",
        expected: Expected::Refused(Class::Drift),
        ..PLAIN
    },
    Case {
        name: "a surrogate in a name",
        bytes: b"\xfe\xff\0I\0D\0,\0N\0a\xd8=\0m\0e\0\n\x001\0,\0A\0n\0n\0\n",
        expected: Expected::Refused(Class::Drift),
        ..PLAIN
    },
    // Latin-1, as the Web understands it.
    Case {
        name: "Latin-1",
        bytes: b"ID,Name\n1,Zo\xeb\n2\n3,\xc5sa \xd8\xff\n",
        encoding: Some("latin1"),
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "Zoë"]), (3, 4, &["3", "Åsa Øÿ"])],
            rejects: &[(2, 3, 15, "1 field, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "windows-1252 in what is called Latin-1",
        bytes: b"ID,Note\n1,\x80 5\n2,\x93a\x94\x96\x97\n3,\x85\n4,\x81\x8d\x8f\x90\x9d\n5,\xa0\n",
        encoding: Some("latin1"),
        expected: Expected::Read {
            columns: &["ID", "Note"],
            rows: &[
                (1, 2, &["1", "\u{20ac} 5"]),
                (2, 3, &["2", "\u{201c}a\u{201d}\u{2013}\u{2014}"]),
                (3, 4, &["3", "\u{2026}"]),
                (4, 5, &["4", "\u{81}\u{8d}\u{8f}\u{90}\u{9d}"]),
                (5, 6, &["5", "\u{a0}"]),
            ],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "a typographic quote of Latin-1 quotes nothing",
        bytes: b"ID,Name\n1,\x93Nu, Oma\x94\n2,\"Nu, O\x92Mal\"\n",
        encoding: Some("latin1"),
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(2, 3, &["2", "Nu, O\u{2019}Mal"])],
            rejects: &[(1, 2, 8, "3 fields, expected 2")],
        },
        ..PLAIN
    },
    Case {
        name: "Latin-1 names in the header",
        bytes: b"Gr\xf6\xdfe,Stra\xdfe\n1,x\n",
        encoding: Some("latin1"),
        expected: Expected::Read { columns: &["Größe", "Straße"], rows: &[(1, 2, &["1", "x"])], rejects: &[] },
        ..PLAIN
    },
    // Every byte is a character there: it cannot be told.
    Case {
        name: "UTF-8 declared to be Latin-1",
        bytes: b"ID,Name\n1,Zo\xc3\xab\n2,Bo\n",
        encoding: Some("latin1"),
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "ZoÃ\u{ab}"]), (2, 3, &["2", "Bo"])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "what is no UTF-8 is Latin-1 all the same",
        bytes: b"ID,Name\n1,\xc0\xaf\n2,\xed\xa0\x80\n3,\"\xfe\n\xfe\"\n",
        encoding: Some("latin1"),
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[(1, 2, &["1", "À\u{af}"]), (2, 3, &["2", "í\u{a0}\u{20ac}"]), (3, 4, &["3", "þ\nþ"])],
            rejects: &[],
        },
        ..PLAIN
    },
];
