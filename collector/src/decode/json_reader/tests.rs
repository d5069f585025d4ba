//! `serde_json` is the oracle: what it accepts is read alike, what it refuses is refused.

use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::Value as Json;

use super::*;
use crate::decode::oracle::{self, Random};

/// What the reader makes of a whole text.
fn read(text: &[u8]) -> Read<Json> {
    let mut reader = JsonReader::new(text);
    let value = value(&mut reader)?;
    reader.end()?;
    Ok(value)
}

fn value(reader: &mut JsonReader<'_>) -> Read<Json> {
    Ok(match reader.peek()? {
        b'"' => reader.text()?.into(),
        b'n' => reader.skip().map(|()| Json::Null)?,
        b't' | b'f' => reader.boolean()?.into(),
        b'[' => {
            let mut elements = Vec::new();
            reader.array("an array", |reader| value(reader).map(|element| elements.push(element)))?;
            elements.into()
        }
        b'{' => {
            let mut members = serde_json::Map::new();
            reader.object("an object", |reader, name| {
                value(reader).map(|member| drop(members.insert(name.to_owned(), member)))
            })?;
            members.into()
        }
        _ => {
            let start = *reader;
            let digits = reader.number()?;
            start.finite(digits)?;
            serde_json::from_str(digits).expect("a number")
        }
    })
}

fn skip(text: &[u8]) -> Read<()> {
    let mut reader = JsonReader::new(text);
    reader.skip()?;
    reader.end()
}

/// Both accept `text` and say the same, or both refuse it.
fn agree(text: &[u8]) -> Result<(), TestCaseError> {
    let shown = || String::from_utf8_lossy(text);
    let (ours, theirs) = (read(text), serde_json::from_slice::<Json>(text));
    match (&ours, &theirs) {
        (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, theirs, "{}", shown()),
        (Err(_), Err(_)) => {}
        _ => prop_assert!(false, "{}: {ours:?}, {theirs:?}", shown()),
    }
    // A text that is passed over may say what cannot be read; a name may not.
    let skipped = (skip(text).is_ok(), serde_json::from_slice::<IgnoredAny>(text).is_ok());
    prop_assert!(theirs.is_ok() <= skipped.0 && skipped.0 <= skipped.1, "{}: {skipped:?}", shown());
    Ok(())
}

/// Texts of every kind, with white space and escapes where they may stand.
fn json() -> impl Strategy<Value = String> {
    let string = prop_oneof![
        "\"[a-z ü€😀/]{0,20}\"",
        r#""([a-z]{0,9}|\\[bfnrt"/\\]|\\u00[0-9a-fA-F]{2}|\\ud83d\\ude00|\\u20ac|é){0,5}""#,
        r#""(\\ud83d|\\ude00|\\u12|\\x|[\x00-\x20]){0,2}""#,
    ];
    let number = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:e}")),
        "-?[0-9]{1,22}(\\.[0-9]{0,3})?([eE][+-]?[0-9]{0,3})?",
    ];
    let word = prop_oneof![Just("null"), Just("true"), Just("false"), Just("nul"), Just("")].prop_map(str::to_owned);
    let leaf = prop_oneof![4 => string.clone(), 3 => number, 2 => word];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let space = "[ \n\t\r]{0,2}";
        let element = (space, inner.clone(), space).prop_map(|(before, value, after)| before + &value + &after);
        let member =
            (space, string.clone(), space, inner).prop_map(|(a, name, b, value)| format!("{a}{name}{b}:{value}"));
        prop_oneof![
            prop::collection::vec(element, 0..4).prop_map(|elements| format!("[{}]", elements.join(","))),
            prop::collection::vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reads_what_serde_json_reads_and_refuses_what_it_refuses(text in json(), seed in any::<u64>()) {
        agree(text.as_bytes())?;
        let mut random = Random(seed);
        for _ in 0..10 {
            agree(&oracle::mutate(text.as_bytes(), &mut random))?;
        }
    }

    #[test]
    fn text_that_is_cut_ends_too_early(text in json()) {
        let is_whole = text.starts_with(['{', '[', '"']) && read(text.as_bytes()).is_ok();
        for end in 0..if is_whole { text.len() } else { 0 } {
            let error = read(&text.as_bytes()[..end]).expect_err("it is cut");
            prop_assert!(error.is_end_of_input(), "{}: {error}", &text[..text.floor_char_boundary(end)]);
        }
    }
}

/// The reader's answer to one question, and whether it is behind the value then.
#[track_caller]
fn check<'a, T: PartialEq + std::fmt::Debug>(
    text: &'a str,
    ask: fn(&mut JsonReader<'a>) -> Read<T>,
    expected: Result<T, &str>,
) {
    let mut reader = JsonReader::new(text.as_bytes());
    let found = ask(&mut reader).and_then(|found| reader.end().map(|()| found));
    assert_eq!(found.map_err(|error| error.to_string()), expected.map_err(str::to_owned), "{text}");
}

#[test]
fn integers_come_as_numbers_and_as_texts() {
    for text in ["7", " 7", "\"7\"", "\"+7\"", "7.0", "0.7e1", "70e-1"] {
        check(text, JsonReader::integer::<u64>, Ok(7));
        check(text, JsonReader::integer::<i64>, Ok(7));
    }
    check("null", JsonReader::integer::<u64>, Ok(0));
    check("-0", JsonReader::integer::<u64>, Ok(0));
    check("18446744073709551615", JsonReader::integer::<u64>, Ok(u64::MAX));
    check("\"-9223372036854775808\"", JsonReader::integer::<i64>, Ok(i64::MIN));
    let bad = |text: &'static str, message| check(text, JsonReader::integer::<u64>, Err(message));
    bad("-1", "-1 is not a 64-bit number at line 1 column 1");
    bad("\"18446744073709551616\"", "18446744073709551616 is not a 64-bit number at line 1 column 1");
    bad("1e300", "170141183460469231731687303715884105727 is not a 64-bit number at line 1 column 1");
    bad("1e999", "number out of range at line 1 column 1");
    bad("1.5", "expected an integer, as number or as text, found a number at line 1 column 1");
    bad("\n \"soon\"", "expected an integer, as number or as text, found a text at line 2 column 2");
}

#[test]
fn plain_numbers_are_integers_with_nothing_around_them() {
    let longest = "9".repeat(19);
    for digits in ["0", "7", "1762000000000000001", &longest] {
        for text in [format!("{digits},"), format!("\"{digits}\","), format!("{digits}}}")] {
            let mut plain = JsonReader::new(text.as_bytes());
            let mut whole = plain;
            assert_eq!(plain.plain_number(), whole.integer().ok(), "{text}");
            assert_eq!(plain.at(), whole.at(), "{text}");
        }
    }
    assert_eq!(JsonReader::new(b"\"007\"").plain_number(), Some(7));
    let too_long = "9".repeat(20) + ",";
    for text in
        ["", "7", "007,", "\"\"", "\"7", "\"7,", "-7,", "7.0,", "7e2,", "+7,", "\"+7\"", "7 ,", "null,", &too_long]
    {
        let mut reader = JsonReader::new(text.as_bytes());
        assert_eq!((reader.plain_number(), reader.at()), (None, 0), "{text}");
    }
}

#[test]
fn doubles_come_as_numbers_and_as_texts() {
    check("7", JsonReader::double, Ok(7.0));
    check("-1.5e3", JsonReader::double, Ok(-1500.0));
    check("\"-Infinity\"", JsonReader::double, Ok(f64::NEG_INFINITY));
    check("1e999", JsonReader::double, Err("number out of range at line 1 column 1"));
    check("\"much\"", JsonReader::double, Err("expected a number, found a text at line 1 column 1"));
}

#[test]
fn enumerations_come_as_numbers_and_as_names() {
    let ask = |reader: &mut JsonReader<'static>| reader.enumeration(|name| name.len() as i64);
    check("3", ask, Ok(3));
    check("-3", ask, Ok(-3));
    check("\"four\"", ask, Ok(4));
    check("null", ask, Ok(0));
    check("18446744073709551615", ask, Ok(0));
    check("3.5", ask, Err("expected the number or the name of an enumeration, found a number at line 1 column 1"));
    check("[]", ask, Err("expected the number or the name of an enumeration, found an array at line 1 column 1"));
}

#[test]
fn texts_are_borrowed_where_they_have_no_escapes() {
    for length in 0..40 {
        let plain = "é".repeat(length) + &"x".repeat(length % 7);
        let quoted = format!("\"{plain}\"");
        assert!(matches!(JsonReader::new(quoted.as_bytes()).text(), Ok(Cow::Borrowed(text)) if text == plain));
    }
    check("\"a\\u00e9\\n\"", |reader| reader.text().map(Cow::into_owned), Ok("aé\n".to_owned()));
    check(
        "\"a\\ud800b\"",
        |reader| reader.text().map(Cow::into_owned),
        Err("unexpected end of hex escape at line 1 column 1"),
    );
}

#[test]
fn what_is_skipped_need_not_be_utf_8_but_what_is_read_must() {
    let text = b"[\"\xff\", \"\xc3\xa9\", \"\xff\"]";
    let mut reader = JsonReader::new(text);
    let mut place = 0;
    let outcome = reader.array("an array", |reader| {
        place += 1;
        if place == 1 { reader.skip() } else { reader.text().map(drop) }
    });
    assert_eq!((place, outcome.unwrap_err().to_string().as_str()), (3, "a text is not UTF-8 at line 1 column 13"));
}

#[test]
fn nesting_is_bounded() {
    let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    let (deep, too_deep) = (nested(127), nested(128));
    check(&deep, JsonReader::skip, Ok(()));
    assert!(serde_json::from_str::<Json>(&deep).is_ok() && serde_json::from_str::<Json>(&too_deep).is_err());
    check(&too_deep, JsonReader::skip, Err("values are nested more than 127 deep at line 1 column 128"));
    assert!(skip("[".repeat(1_000_000).as_bytes()).is_err());
}
