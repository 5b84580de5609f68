//! The protocol as its specification has it, byte by byte, and what T-SQL comes to.

mod cell {
    use crate::tds::cell::*;
    use crate::tds::types::Type;

    fn wire(of: &str, text: Option<&str>) -> String {
        let (of, mut out) = (Type::parse(of).unwrap(), Vec::new());
        Cell::parse(&of, text).unwrap().put(&of, &mut out);
        hex(&out)
    }

    #[test]
    fn values_are_written_as_the_specification_says() {
        assert_eq!(wire("int", Some("-2")), "04feffffff");
        assert_eq!(wire("bit", Some("1")), "0101");
        // 123.45 in decimal(5,2): a sign, and 12345 in four bytes.
        assert_eq!(wire("decimal(5,2)", Some("123.45")), "050139300000");
        assert_eq!(wire("decimal(38,0)", Some("-1")), "110001000000000000000000000000000000");
        // The higher half of a money comes first.
        assert_eq!(wire("money", Some("-0.0001")), "08ffffffffffffffff");
        assert_eq!(wire("money", Some("429496.7296")), "080100000000000000");
        assert_eq!(wire("nvarchar(5)", Some("aé")), "04006100e900");
        assert_eq!(wire("varchar(5)", Some("€")), "010080");
        assert_eq!(wire("nvarchar(max)", Some("a")), "0200000000000000020000006100".to_owned() + "00000000");
        assert_eq!(wire("varbinary(max)", None), "ffffffffffffffff");
        assert_eq!(wire("varbinary(8)", None), "ffff");
        assert_eq!(wire("text", None), "00");
        assert_eq!(wire("nchar(2)", Some("a")), "040061002000");
    }

    #[test]
    fn times_are_written_as_the_specification_says() {
        // 0001-01-02, and the last 100 ns of it.
        let ticks = (2 * DAY - 1).to_string();
        assert_eq!(wire("date", Some(&DAY.to_string())), "03010000");
        assert_eq!(wire("datetime2(7)", Some(&ticks)), "08ffbf692ac9010000");
        assert_eq!(wire("datetime2(0)", Some(&ticks)), "067f5101010000");
        assert_eq!(wire("datetimeoffset(7)", Some(&format!("({ticks},-90)"))), "0affbf692ac9010000a6ff");
        // 1900-01-02 and a 300th of a second.
        let ticks = ((DAYS_1900 + 1) * DAY + SECOND / 300).to_string();
        assert_eq!(wire("datetime", Some(&ticks)), "080100000001000000");
    }

    #[test]
    fn a_guid_is_mixed_and_ordered() {
        let guid: [u8; 16] = std::array::from_fn(|n| n as u8);
        assert_eq!(from_order(&in_order(&guid)), guid);
        assert_eq!(
            wire("uniqueidentifier", Some(&format!("\\x{}", hex(&in_order(&guid))))),
            format!("10{}", hex(&mixed(&guid)))
        );
    }

    #[test]
    fn decimals_are_rounded() {
        assert_eq!(decimal("-1.005", 2), Some(-101));
        assert_eq!(decimal("1", 2), Some(100));
        assert_eq!(decimal("", 2), None);
        assert_eq!(decimal("99999999999999999999999999999999999999", 0), Some(10_i128.pow(38) - 1));
    }
}

mod engine {
    use crate::tds::catalog::Catalog;
    use crate::tds::engine::*;
    use crate::tds::token::Message;

    fn step(batch: &str) -> Result<Vec<Step>, Message> {
        parse(batch)?.iter().map(|parsed| plan(parsed, &Catalog::default(), &[])).collect()
    }

    #[test]
    fn options_and_transactions() {
        let batch =
            "SET NOCOUNT ON; SET LOCK_TIMEOUT 5000 SET TRANSACTION ISOLATION LEVEL SNAPSHOT; BEGIN TRAN; COMMIT TRAN";
        let timeout = Step::Run("SET lock_timeout = 5000".into());
        let steps = [Step::Nothing, timeout, Step::Isolation("REPEATABLE READ"), Step::Begin, Step::Commit];
        assert_eq!(step(batch).unwrap(), steps);
    }

    #[test]
    fn what_is_unknown_is_error_102() {
        for batch in ["SELECT 1 LIMIT 5", "SELECT 1::int", "SELEC 1", "SELECT 1 WHERE 'a' ILIKE 'x'", "VACUUM"] {
            assert_eq!(step(batch).unwrap_err().number, 102, "{batch}");
        }
        assert_eq!(step("SELECT a FROM nowhere").unwrap_err().number, 208);
    }
}

mod login {
    use crate::tds::login::*;

    fn pair(out: &mut Vec<u8>, at: usize, units: usize) {
        out.extend((at as u16).to_le_bytes());
        out.extend((units as u16).to_le_bytes());
    }

    #[test]
    fn a_login_with_a_password_and_a_token() {
        let mut body = vec![0; PAIRS];
        body[4..8].copy_from_slice(&0x7400_0004_u32.to_le_bytes());
        body[8..12].copy_from_slice(&8192_u32.to_le_bytes());
        body[26..28].copy_from_slice(&[READ_ONLY_INTENT, EXTENSION]);
        let user: Vec<u8> = "sa".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mangled: Vec<u8> =
            "pä".encode_utf16().flat_map(u16::to_le_bytes).map(|b| b.rotate_left(4) ^ 0xA5).collect();
        for n in 0..9 {
            match n {
                1 => pair(&mut body, 94, 2),
                2 => pair(&mut body, 98, 2),
                5 => pair(&mut body, 102, 4),
                _ => pair(&mut body, 0, 0),
            }
        }
        body.resize(94, 0);
        body.extend(user);
        body.extend(mangled);
        body.extend(106_u32.to_le_bytes());
        let token: Vec<u8> = "jwt".encode_utf16().flat_map(u16::to_le_bytes).collect();
        body.push(FEATURE_FEDAUTH);
        body.extend((5 + token.len() as u32).to_le_bytes());
        body.push(1 << 1);
        body.extend((token.len() as u32).to_le_bytes());
        body.extend(token);
        body.push(FEATURE_END);
        let length = body.len() as u32;
        body[..4].copy_from_slice(&length.to_le_bytes());
        let login = Login7::decode(&body).unwrap();
        assert_eq!((login.user.as_str(), login.password.as_str(), login.packet_size), ("sa", "pä", 8192));
        assert_eq!((login.token.as_deref(), login.read_only), (Some("jwt"), true));
        body.pop();
        assert!(Login7::decode(&body).is_err());
    }

    /// MS-TDS 4.2, "Login Request", without its packet's header.
    const EXAMPLE: &str = "88 00 00 00 02 00 09 72 00 10 00 00 00 00 00 07 00 01 00 00 00 00 00 00 E0 03 00 00 E0 01 \
                           00 00 09 04 00 00 5E 00 08 00 6E 00 02 00 72 00 00 00 72 00 07 00 80 00 00 00 80 00 00 00 \
                           80 00 04 00 88 00 00 00 88 00 00 00 00 50 8B E2 B7 8F 88 00 00 00 88 00 00 00 88 00 00 00 \
                           00 00 00 00 73 00 6B 00 6F 00 73 00 74 00 6F 00 76 00 31 00 73 00 61 00 4F 00 53 00 51 00 \
                           4C 00 2D 00 33 00 32 00 4F 00 44 00 42 00 43 00";

    #[test]
    fn the_example_of_the_specification_decodes() {
        let bytes: Vec<u8> = EXAMPLE.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        let login = Login7::decode(&bytes).unwrap();
        let expected = ("skostov1", "sa", "", "OSQL-32", "");
        let Login7 { host, user, password, application, database, .. } = &login;
        assert_eq!(
            (host.as_str(), user.as_str(), password.as_str(), application.as_str(), database.as_str()),
            expected
        );
        assert_eq!((login.tds_version, login.packet_size), (0x7209_0002, 4096));
    }

    /// MS-TDS 2.2.6.4: the bytes of a password are 0xA5 exclusive-or; those of "a" are B3 A5.
    #[test]
    fn a_password_of_one_letter() {
        assert_eq!(unmangled(&[0xB3, 0xA5]).unwrap(), "a");
    }
}

mod packet {
    use crate::tds::packet::*;

    #[test]
    fn messages_are_cut_and_joined() {
        for length in [0, 1, 503, 504, 505, 1008, 1009, 5000] {
            let body: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let mut packets = Packets::new(512);
            let mut sent = Vec::new();
            for part in body.chunks(7) {
                sent.extend(packets.push(part));
            }
            sent.extend(packets.end());
            let mut at = 0;
            while at < sent.len() {
                let size = usize::from(u16::from_be_bytes([sent[at + 2], sent[at + 3]]));
                assert!(size <= 512);
                at += size;
                assert_eq!(at == sent.len(), sent[at - size + 1] == END_OF_MESSAGE);
            }
            let message = futures::executor::block_on(read(&mut sent.as_slice())).unwrap().unwrap();
            assert_eq!(message, Message { kind: TABULAR_RESULT, body });
        }
    }

    #[test]
    fn a_broken_message_is_an_error_and_an_end_is_none() {
        assert_eq!(futures::executor::block_on(read(&mut [0_u8; 0].as_slice())).unwrap(), None);
        let packet = [SQL_BATCH, 0, 0, 9, 0, 0, 1, 0, 7];
        assert!(futures::executor::block_on(read(&mut packet.as_slice())).is_err());
        assert!(futures::executor::block_on(read(&mut [1_u8, 1, 0, 7, 0, 0, 0, 0].as_slice())).is_err());
    }
}

mod prelogin {
    use crate::tds::prelogin::*;

    /// MS-TDS 4.1, "Pre-Login Request".
    const EXAMPLE: &str = "00 00 1A 00 06 01 00 20 00 01 02 00 21 00 01 03 00 22 00 04 04 00 26 00 01 FF \
                           09 00 00 00 00 00 01 00 B8 0D 00 00 01";

    #[test]
    fn the_example_of_the_specification_decodes() {
        let bytes: Vec<u8> = EXAMPLE.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        let prelogin = Prelogin::decode(&bytes).unwrap();
        assert_eq!(prelogin.version, [9, 0, 0, 0, 0, 0]);
        assert_eq!(prelogin.encryption, Some(Encryption::On));
        assert_eq!((prelogin.instance, prelogin.mars), (Some(Vec::new()), Some(true)));
    }

    #[test]
    fn what_is_said_is_understood() {
        let nonce = Some([7; 32]);
        let said =
            Prelogin { version: [16, 0, 16, 0, 0, 0], encryption: Some(Encryption::On), nonce, ..Prelogin::default() };
        let heard = Prelogin::decode(&said.encode()).unwrap();
        assert_eq!(heard, Prelogin { instance: Some(Vec::new()), mars: Some(false), ..said });
        assert!(Prelogin::decode(&[0, 0, 6, 0, 6, 0xFF]).is_err());
    }
}

mod rpc {
    use crate::tds::cell::Cell;
    use crate::tds::rpc::*;
    use crate::tds::types::Type;
    use crate::tds::wire::Reader;

    #[test]
    fn what_is_written_is_read() {
        for (of, text) in [
            ("bigint", Some("-7")),
            ("decimal(38,4)", Some("-12345678901234567890.1234")),
            ("money", Some("-429496.7297")),
            ("float", Some("1.5")),
            ("nvarchar(max)", Some("aé😀")),
            ("varchar(9)", Some("€")),
            ("varbinary(3)", Some("\\x00ff")),
            ("date", Some("864000000000")),
            ("time(3)", Some("863999990000")),
            ("datetime2(7)", Some("638000000000000001")),
            ("datetimeoffset(7)", Some("(638000000000000001,-90)")),
            ("smalldatetime", Some("638000000400000000")),
            ("uniqueidentifier", Some("\\x000102030405060708090a0b0c0d0e0f")),
            ("nvarchar(7)", None),
            ("varbinary(max)", None),
            ("int", None),
        ] {
            let (of, mut out) = (Type::parse(of).unwrap(), Vec::new());
            let cell = Cell::parse(&of, text).unwrap();
            of.info(&mut out);
            cell.put(&of, &mut out);
            let mut from = Reader(&out);
            assert_eq!(parameter(&mut from).unwrap(), (of, cell));
            assert!(from.is_empty());
        }
    }
}

mod token {
    use crate::tds::cell::Cell;
    use crate::tds::cell::hex;
    use crate::tds::token::*;
    use crate::tds::types::Type;

    #[test]
    fn done_of_a_select() {
        let mut out = Vec::new();
        done(&mut out, DONE, DONE_COUNT, SELECT, 1);
        // MS-TDS 4.5, the end of "SQL Batch Server Response".
        assert_eq!(hex(&out), "fd1000c1000100000000000000");
    }

    #[test]
    fn nulls_are_bits() {
        let column = |name: &str| Column { name: name.into(), of: Type::Int, nullable: true };
        let (columns, mut out) = ([column("a"), column("b"), column("c")], Vec::new());
        nbc_row(&mut out, &columns, &[Cell::Null, Cell::Int(1), Cell::Null]);
        assert_eq!(hex(&out), "d2050401000000");
    }

    /// MS-TDS 4.2's answer: the database changes from master to master.
    #[test]
    fn the_database_changes() {
        let mut out = Vec::new();
        env_text(&mut out, ENV_DATABASE, "master", "master");
        assert_eq!(hex(&out), "e31b0001066d0061007300740065007200066d0061007300740065007200");
    }
}

mod types {
    use crate::tds::types::*;

    #[test]
    fn a_declared_type_is_the_type() {
        for text in ["bit", "decimal(38,10)", "numeric(9,0)", "nvarchar(max)", "varchar(8000)", "time(0)", "geometry"] {
            assert_eq!(Type::parse(text).unwrap().declared(), text);
        }
        assert_eq!(Type::parse("Decimal"), Some(Type::Decimal(18, 0)));
        assert_eq!(Type::parse("float(24)"), Some(Type::Real));
        for text in ["decimal(39,0)", "decimal(5,6)", "nvarchar(4001)", "time(8)", "jsonb", "int("] {
            assert_eq!(Type::parse(text), None, "{text}");
        }
    }
}

mod value {
    use crate::tds::cell::Cell;
    use crate::tds::cell::{DAY, SECOND};
    use crate::tds::types::Type;
    use crate::tds::value::*;

    #[test]
    fn moments() {
        assert_eq!(moment("0001-01-02"), Some((DAY, 0)));
        assert_eq!(moment("00010101 00:00:01"), Some((SECOND, 0)));
        assert_eq!(moment("0001-01-01T00:00:00.0000001+01:30"), Some((1, 90)));
        assert_eq!(moment("9999-12-31 23:59:59.9999999"), Some((3_652_059 * DAY - 1, 0)));
        for text in ["2023-02-29", "2024-01-01 24:00", "x", "2024-01-01 00:00:00.12345678", "2024-01-01 00:00 +15:00"] {
            assert_eq!(moment(text), None, "{text}");
        }
    }

    #[test]
    fn a_text_beside_a_column_becomes_a_value_of_its_type() {
        let text = Typed::value(Type::VarChar(Some(27)), Cell::Text("0001-01-02T00:00:00.0000001".into()));
        let (_, value) = met(Typed::new("a", Type::DateTime2(7)), text).unwrap();
        assert_eq!(value.sql, format!("({})::bigint", DAY + 1));
        assert_eq!(digits(-5, 2), "-0.05");
    }

    #[test]
    fn a_datetime_is_rounded_to_a_300th() {
        for (milliseconds, rounded) in [(0, 0), (1, 0), (2, 33_333), (4, 33_333), (5, 66_667), (999, 10_000_000)] {
            assert_eq!(ticks(milliseconds * 10_000, &Type::DateTime), rounded, "{milliseconds}");
        }
    }
}
