//! Headers: none, broken ones, and strange ones that are right.

use super::{Case, Expected, PLAIN};
use rcm_core::Class;

pub(super) const CASES: &[Case] = &[
    // No header.
    Case { name: "nothing", bytes: b"", expected: Expected::Refused(Class::Failed), ..PLAIN },
    Case { name: "one line feed", bytes: b"\n", expected: Expected::Refused(Class::Failed), ..PLAIN },
    Case { name: "empty lines only", bytes: b"\r\n\n\r\r\n", expected: Expected::Refused(Class::Failed), ..PLAIN },
    // Names that are no names.
    Case { name: "an empty name", bytes: b"ID,,Name\n1,x,Ann\n", expected: Expected::Refused(Class::Drift), ..PLAIN },
    Case {
        name: "a comma behind the last name",
        bytes: b"ID,Name,\n1,Ann,\n",
        expected: Expected::Refused(Class::Drift),
        ..PLAIN
    },
    Case {
        name: "a comma before the first name, as of an index",
        bytes: b",ID,Name\n0,1,Ann\n",
        expected: Expected::Refused(Class::Drift),
        ..PLAIN
    },
    Case {
        name: "a name of blanks",
        bytes: b"ID, \t ,Name\n1,x,Ann\n",
        expected: Expected::Refused(Class::Drift),
        ..PLAIN
    },
    Case {
        name: "a name of quoted nothing",
        bytes: b"ID,\"\",Name\n1,x,Ann\n",
        expected: Expected::Refused(Class::Drift),
        ..PLAIN
    },
    Case {
        name: "a name of quoted blanks and line ends",
        bytes: b"ID,\" \r\n \",Name\n1,x,Ann\n",
        expected: Expected::Refused(Class::Drift),
        ..PLAIN
    },
    Case {
        name: "a header of blanks",
        bytes: b"   \nID,Name\n1,Ann\n",
        expected: Expected::Refused(Class::Drift),
        ..PLAIN
    },
    Case {
        name: "a header of commas",
        bytes: b",,\nID,Name,Fee\n1,Ann,80\n",
        expected: Expected::Refused(Class::Drift),
        ..PLAIN
    },
    Case { name: "a quoted nothing alone", bytes: b"\"\"\n1\n", expected: Expected::Refused(Class::Drift), ..PLAIN },
    Case {
        name: "a repeated name",
        bytes: b"ID,Name,ID\n1,Ann,2\n",
        expected: Expected::Refused(Class::Drift),
        ..PLAIN
    },
    Case {
        name: "a name repeated but for blanks",
        bytes: b"ID,Name, ID \n1,Ann,2\n",
        expected: Expected::Refused(Class::Drift),
        ..PLAIN
    },
    Case {
        name: "a name repeated but for quotes",
        bytes: b"ID,Name,\"ID\"\n1,Ann,2\n",
        expected: Expected::Refused(Class::Drift),
        ..PLAIN
    },
    Case {
        name: "a name that is no UTF-8",
        bytes: b"ID,Gr\xf6\xdfe\n1,2\n",
        expected: Expected::Refused(Class::Drift),
        ..PLAIN
    },
    Case {
        name: "a name with half a character",
        bytes: b"ID,Name\xe2\x82\n1,Ann\n",
        expected: Expected::Refused(Class::Drift),
        ..PLAIN
    },
    Case {
        name: "no header, and the first record repeats a value",
        bytes: b"C1,0.00,0.00\nC2,80.00,0.00\n",
        expected: Expected::Refused(Class::Drift),
        ..PLAIN
    },
    // Strange and right.
    Case {
        name: "a header alone",
        bytes: b"ID,Name\n",
        expected: Expected::Read { columns: &["ID", "Name"], rows: &[], rejects: &[] },
        ..PLAIN
    },
    Case {
        name: "a header alone, without a line end",
        bytes: b"ID,Name",
        expected: Expected::Read { columns: &["ID", "Name"], rows: &[], rejects: &[] },
        ..PLAIN
    },
    Case {
        name: "a header alone, quoted, without a line end",
        bytes: b"\"ID\",\"Name\"",
        expected: Expected::Read { columns: &["ID", "Name"], rows: &[], rejects: &[] },
        ..PLAIN
    },
    Case {
        name: "a header and empty lines",
        bytes: b"ID,Name\r\n\r\n\n",
        expected: Expected::Read { columns: &["ID", "Name"], rows: &[], rejects: &[] },
        ..PLAIN
    },
    Case {
        name: "blanks around names, not around values",
        bytes: b" ID ,\tName\t\n 1 ,\tAnn\t\n",
        expected: Expected::Read { columns: &["ID", "Name"], rows: &[(1, 2, &[" 1 ", "\tAnn\t"])], rejects: &[] },
        ..PLAIN
    },
    Case {
        name: "blanks inside quoted names",
        bytes: b"\" ID \",\"Name \"\n1,Ann\n",
        expected: Expected::Read { columns: &["ID", "Name"], rows: &[(1, 2, &["1", "Ann"])], rejects: &[] },
        ..PLAIN
    },
    Case {
        name: "a name of two lines",
        bytes: b"ID,\"CPT\r\ncode\",\"Fee\n(USD)\"\n1,90001,80\n2\n",
        expected: Expected::Read {
            columns: &["ID", "CPT\r\ncode", "Fee\n(USD)"],
            rows: &[(1, 4, &["1", "90001", "80"])],
            rejects: &[(2, 5, 38, "1 field, expected 3")],
        },
        ..PLAIN
    },
    Case {
        name: "names with commas and quotes",
        bytes: b"\"Name, first\",\"the \"\"ID\"\"\",5\" pipe\nAnn,1,2\n",
        expected: Expected::Read {
            columns: &["Name, first", "the \"ID\"", "5\" pipe"],
            rows: &[(1, 2, &["Ann", "1", "2"])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "names that differ in case",
        bytes: b"id,ID,Id\n1,2,3\n",
        expected: Expected::Read { columns: &["id", "ID", "Id"], rows: &[(1, 2, &["1", "2", "3"])], rejects: &[] },
        ..PLAIN
    },
    // The last two are a Cyrillic and a Latin letter.
    Case {
        name: "names that look the same",
        bytes: b"Zo\xc3\xab,Zoe\xcc\x88,\xd0\x90,A\n1,2,3,4\n",
        expected: Expected::Read {
            columns: &["Zoë", "Zoe\u{308}", "\u{410}", "A"],
            rows: &[(1, 2, &["1", "2", "3", "4"])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "names of other scripts",
        bytes: b"\xe6\x82\xa3\xe8\x80\x85\xe7\x95\xaa\xe5\x8f\xb7,\xd8\xa7\xd9\x84\xd8\xa7\xd8\xb3\xd9\x85,\xf0\x9f\
            \xa9\xba\n1,x,y\n",
        expected: Expected::Read {
            columns: &["患者番号", "\u{627}\u{644}\u{627}\u{633}\u{645}", "\u{1fa7a}"],
            rows: &[(1, 2, &["1", "x", "y"])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "names that are hostile elsewhere",
        bytes: b"'; DROP TABLE x; --,../../x,$(id),{0},%s\n1,2,3,4,5\n",
        expected: Expected::Read {
            columns: &["'; DROP TABLE x; --", "../../x", "$(id)", "{0}", "%s"],
            rows: &[(1, 2, &["1", "2", "3", "4", "5"])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "a name with a NUL",
        bytes: b"I\0D,Name\n1,Ann\n",
        expected: Expected::Read { columns: &["I\0D", "Name"], rows: &[(1, 2, &["1", "Ann"])], rejects: &[] },
        ..PLAIN
    },
    Case {
        name: "no header: the first record is taken for one",
        bytes: b"C1,90001,80.00\nC2,90002,95.50\n",
        expected: Expected::Read {
            columns: &["C1", "90001", "80.00"],
            rows: &[(1, 2, &["C2", "90002", "95.50"])],
            rejects: &[],
        },
        ..PLAIN
    },
    Case {
        name: "a title above the header",
        bytes: b"Claims of June\nClaim,Fee\nC1,80.00\n\nend\n",
        expected: Expected::Read {
            columns: &["Claims of June"],
            rows: &[(3, 5, &["end"])],
            rejects: &[(1, 2, 15, "2 fields, expected 1"), (2, 3, 25, "2 fields, expected 1")],
        },
        ..PLAIN
    },
    Case {
        name: "a comment above the header",
        bytes: b"# made at 06:00\nID,Name\n1,Ann\n",
        expected: Expected::Read {
            columns: &["# made at 06:00"],
            rows: &[],
            rejects: &[(1, 2, 16, "2 fields, expected 1"), (2, 3, 24, "2 fields, expected 1")],
        },
        ..PLAIN
    },
    Case {
        name: "a line of units below the header",
        bytes: b"ID,Weight\n,kg\n1,70\n",
        expected: Expected::Read {
            columns: &["ID", "Weight"],
            rows: &[(1, 2, &["", "kg"]), (2, 3, &["1", "70"])],
            rejects: &[],
        },
        ..PLAIN
    },
    // Some readers shift the columns by one here.
    Case {
        name: "an index without a name before each record",
        bytes: b"ID,Name\n0,1,Ann\n1,2,Bo\n",
        expected: Expected::Read {
            columns: &["ID", "Name"],
            rows: &[],
            rejects: &[(1, 2, 8, "3 fields, expected 2"), (2, 3, 16, "3 fields, expected 2")],
        },
        ..PLAIN
    },
];
