//! Ids as sent, checked: 16 bytes for a trace, 8 for a span, never zero. Each format says how strict it is.

use std::fmt;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use spanlint_graph::span::{Link, Refusal, SpanId};
use spanlint_graph::{Name, TraceId, text};

use crate::limits::MAX_REFUSED_NAME_BYTES;

/// Base64 as protobuf's JSON mapping has it: with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// An id as it was sent.
#[derive(Debug, Clone, Copy)]
pub(super) enum RawId<'a> {
    /// Big-endian, as in protobuf.
    Bytes(&'a [u8]),
    /// Hexadecimal digits of either case, as in OTLP's JSON.
    Hex(&'a str),
    /// Base64 as protobuf's JSON mapping has it, or all hexadecimal digits as OTLP wants them; their lengths differ.
    Base64OrHex(&'a str),
    /// Hexadecimal digits of which leading zeros may be missing, as in Zipkin.
    Short(&'a str),
    /// As in Jaeger: hexadecimal digits of which leading zeros may be missing. Any other text stands for its hash,
    /// since traces are also written by hand.
    Label(&'a str),
}

/// What is wrong with an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum IdError {
    #[error("{what} has {bytes} bytes, wants {wanted}")]
    Bytes { what: &'static str, bytes: usize, wanted: usize },
    #[error("{what} has {digits} hexadecimal digits, wants {wanted}")]
    Digits { what: &'static str, digits: usize, wanted: usize },
    #[error("{what} is not hexadecimal")]
    NotHex { what: &'static str },
    #[error("{what} is neither base64 nor hexadecimal")]
    NotBase64 { what: &'static str },
    #[error("{what} is missing or zero")]
    Zero { what: &'static str },
}

impl RawId<'_> {
    /// The id as a number of `size` bytes; zero where nothing was sent.
    fn number(self, what: &'static str, size: usize) -> Result<u128, IdError> {
        match self {
            Self::Bytes([]) | Self::Hex("") | Self::Base64OrHex("") | Self::Short("") | Self::Label("") => Ok(0),
            Self::Bytes(bytes) if bytes.len() == size => {
                let mut whole = [0; 16];
                whole[16 - size..].copy_from_slice(bytes);
                Ok(u128::from_be_bytes(whole))
            }
            Self::Bytes(bytes) => Err(IdError::Bytes { what, bytes: bytes.len(), wanted: size }),
            Self::Base64OrHex(text) if text.len() == 2 * size => Self::Hex(text).number(what, size),
            Self::Base64OrHex(text) => match BASE64.decode(text) {
                Ok(bytes) if bytes.len() != size && is_hex(text) => RawId::Hex(text).number(what, size),
                Ok(bytes) => RawId::Bytes(&bytes).number(what, size),
                Err(_) => Err(IdError::NotBase64 { what }),
            },
            Self::Label(text) if !is_hex(text) => Ok(Name::of(text).0.into()),
            Self::Hex(digits) | Self::Short(digits) if !is_hex(digits) => Err(IdError::NotHex { what }),
            Self::Hex(digits) if digits.len() == 2 * size => Ok(hex(digits)),
            Self::Short(digits) | Self::Label(digits) if digits.len() <= 2 * size => Ok(hex(digits)),
            Self::Hex(digits) | Self::Short(digits) | Self::Label(digits) => {
                Err(IdError::Digits { what, digits: digits.len(), wanted: 2 * size })
            }
        }
    }

    fn nonzero(self, what: &'static str, size: usize) -> Result<u128, IdError> {
        match self.number(what, size)? {
            0 => Err(IdError::Zero { what }),
            number => Ok(number),
        }
    }
}

fn is_hex(text: &str) -> bool {
    // Without a way out in the middle many digits are looked at at once.
    text.bytes().fold(true, |is_hex, digit| is_hex & digit.is_ascii_hexdigit())
}

/// The number behind at most 32 hexadecimal digits.
fn hex(digits: &str) -> u128 {
    let (rest, chunks) = digits.as_bytes().as_rchunks();
    // Letters of either case have bit 6, and their low bits count from one.
    let rest = rest.iter().fold(0, |number, digit| number << 4 | u128::from((digit & 0xf) + 9 * (digit >> 6)));
    chunks.iter().fold(rest, |number, chunk| number << 32 | u128::from(eight_digits(*chunk)))
}

/// The number behind eight hexadecimal digits, all at once: each becomes its value, then neighbours join.
fn eight_digits(digits: [u8; 8]) -> u64 {
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    let digits = u64::from_be_bytes(digits);
    let values = (digits & (EACH * 0xf)) + 9 * ((digits >> 6) & EACH);
    let pairs = (values | values >> 4) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    (fours | fours >> 16) & 0xffff_ffff
}

/// The ids of a span, all valid.
#[derive(Debug, Clone, Copy)]
pub(super) struct SpanIds {
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
    pub(super) parent: SpanId,
}

impl SpanIds {
    /// Checks the ids of a span; no parent and a parent of zeros both mean a root.
    pub(super) fn check(trace: RawId<'_>, span: RawId<'_>, parent: RawId<'_>) -> Result<Self, IdError> {
        Ok(Self {
            trace: TraceId(trace.nonzero("trace id", 16)?),
            span: SpanId(span.nonzero("span id", 8)? as u64),
            parent: SpanId(parent.number("parent span id", 8)? as u64),
        })
    }
}

/// Checks a link. None for a link to nowhere: SDKs send those when a remote context could not be read.
pub(super) fn check_link(trace: RawId<'_>, span: RawId<'_>) -> Result<Option<Link>, IdError> {
    let trace_id = TraceId(trace.number("trace id of a link", 16)?);
    let span_id = SpanId(span.number("span id of a link", 8)? as u64);
    Ok((trace_id.0 != 0 && span_id.0 != 0).then_some(Link { trace_id, span_id }))
}

/// Where a log record belongs; what cannot be read counts as not given.
pub(super) fn place(trace: RawId<'_>, span: RawId<'_>) -> (TraceId, SpanId) {
    let trace_id = TraceId(trace.number("trace id", 16).unwrap_or_default());
    (trace_id, SpanId(span.number("span id", 8).unwrap_or_default() as u64))
}

/// The refusal of the span called `name`.
pub(super) fn refusal(name: &str, reason: &impl fmt::Display) -> Refusal {
    let name = &name[..name.floor_char_boundary(MAX_REFUSED_NAME_BYTES)];
    Refusal { span_name: text::scrub(name).into_owned(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(id: RawId<'_>, size: usize, expected: Result<u128, &str>) {
        assert_eq!(id.nonzero("id", size).map_err(|error| error.to_string()), expected.map_err(str::to_owned));
    }

    #[test]
    fn ids_have_their_length_and_are_not_zero() {
        check(RawId::Bytes(&[0, 0, 0, 0, 0, 0, 1, 2]), 8, Ok(0x102));
        check(RawId::Bytes(&[1; 7]), 8, Err("id has 7 bytes, wants 8"));
        check(RawId::Bytes(&[0; 8]), 8, Err("id is missing or zero"));
        check(RawId::Bytes(&[]), 8, Err("id is missing or zero"));
    }

    #[test]
    fn hexadecimal_digits_have_either_case_and_nothing_else() {
        check(RawId::Hex("00000000000000aB"), 8, Ok(0xab));
        check(RawId::Hex("ab"), 8, Err("id has 2 hexadecimal digits, wants 16"));
        check(RawId::Hex("+0000000000000ab"), 8, Err("id is not hexadecimal"));
        check(RawId::Hex("AAAAAAAAAAAAAAAAAAAAAA=="), 16, Err("id is not hexadecimal"));
        check(RawId::Hex(&"0".repeat(32)), 16, Err("id is missing or zero"));
    }

    #[test]
    fn any_number_of_digits_is_read_as_the_standard_library_reads_it() {
        let digits = "0123456789abcdefFEDCBA9876543210";
        for (start, end) in (0..32).flat_map(|start| (start + 1..=32).map(move |end| (start, end))) {
            assert_eq!(u128::from_str_radix(&digits[start..end], 16), Ok(hex(&digits[start..end])));
        }
    }

    #[test]
    fn short_digits_are_padded_with_zeros() {
        for id in [RawId::Short("00ab"), RawId::Short("AB"), RawId::Label("ab")] {
            check(id, 8, Ok(0xab));
        }
        for id in [RawId::Short("0123456789abcdef0"), RawId::Label("0123456789abcdef0")] {
            check(id, 8, Err("id has 17 hexadecimal digits, wants 16"));
        }
        check(RawId::Short("0"), 8, Err("id is missing or zero"));
        check(RawId::Short("span-1"), 8, Err("id is not hexadecimal"));
    }

    #[test]
    fn a_label_stands_for_its_hash() {
        check(RawId::Label("span-1"), 8, Ok(Name::of("span-1").0.into()));
        assert_ne!(RawId::Label("span-1").number("id", 8), RawId::Label("span-2").number("id", 8));
    }

    #[test]
    fn base64_and_hexadecimal_digits_are_told_apart_by_length() {
        check(RawId::Base64OrHex("Sc130fnc2TY="), 8, Ok(0x49cd_77d1_f9dc_d936));
        check(RawId::Base64OrHex("49cd77d1f9dcd936"), 8, Ok(0x49cd_77d1_f9dc_d936));
        check(RawId::Base64OrHex("Sc130fnc2TY"), 8, Ok(0x49cd_77d1_f9dc_d936));
        check(RawId::Base64OrHex("49cd77d1"), 8, Err("id has 8 hexadecimal digits, wants 16"));
        check(RawId::Base64OrHex("order-0000000001"), 8, Err("id is not hexadecimal"));
        check(RawId::Base64OrHex("AAAw"), 8, Err("id has 3 bytes, wants 8"));
        check(RawId::Base64OrHex("?"), 8, Err("id is neither base64 nor hexadecimal"));
        check(RawId::Base64OrHex(""), 8, Err("id is missing or zero"));
    }

    #[test]
    fn a_parent_of_zeros_is_no_parent() {
        let id = RawId::Hex("00000000000000aB");
        let trace = RawId::Hex("000000000000000000000000000000ab");
        for parent in [RawId::Bytes(&[]), RawId::Bytes(&[0; 8]), RawId::Hex("0000000000000000")] {
            assert_eq!(SpanIds::check(trace, id, parent).unwrap().parent, SpanId::NONE);
        }
    }

    #[test]
    fn a_link_to_nowhere_is_none_and_a_wrong_one_is_an_error() {
        assert_eq!(check_link(RawId::Bytes(&[0; 16]), RawId::Bytes(&[])), Ok(None));
        assert_eq!(
            check_link(RawId::Bytes(&[1; 16]), RawId::Bytes(&[1; 3])).unwrap_err().to_string(),
            "span id of a link has 3 bytes, wants 8"
        );
    }

    #[test]
    fn a_refusal_keeps_little_of_a_long_name() {
        let refusal = refusal(&"é".repeat(1000), &IdError::Zero { what: "span id" });
        assert_eq!(refusal.span_name.len(), MAX_REFUSED_NAME_BYTES);
    }
}
