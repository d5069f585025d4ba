//! What people look at in a span, and which of its attributes were confidential.

use xxhash_rust::xxh3::xxh3_64;

use super::MAX_ATTRIBUTES;
use super::attributes::Sequence;
use super::confidential::{self, Confidentiality, Kinds, Masked};
use crate::detail::{Detail, Packer};
use crate::hash::HashSet;
use crate::name::{NameTable, cut};
use crate::span::{Secret, SpanView, Value};
use crate::text::MAX_VALUE_BYTES;

/// The key under which a credential in the message of a span's status is found.
const STATUS_MESSAGE: &str = "otel.status_description";

/// The most values that are remembered as harmless.
const MAX_HARMLESS: usize = 1 << 14;
/// The longest values that are looked up: longer ones seldom come twice.
const MAX_REMEMBERED_BYTES: usize = 1024;

/// Packs details, and remembers which values are shown as they were sent.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// Hashes of values in which nothing is scrubbed or masked.
    harmless: HashSet<u64>,
    packer: Packer,
}

impl Shown {
    /// The details of a span, and its secrets, sorted, once each.
    pub(super) fn read(
        &mut self,
        view: &SpanView<'_>,
        sequence: &Sequence,
        names: &mut NameTable,
    ) -> (Detail, Box<[Secret]>) {
        let mut secrets = Vec::new();
        let mut note = |kinds: Kinds, key: &str| {
            secrets.extend(kinds.iter().map(|kind| Secret { kind, key: names.intern(key) }));
        };
        self.packer.clear();
        note(self.push(Confidentiality::Unknown, cut(&view.name)), "");
        note(self.push(Confidentiality::Unknown, &view.status_message), STATUS_MESSAGE);
        let keys = sequence.shown.iter().zip(&sequence.meanings);
        let kept = view.attributes.iter().zip(keys).filter(|(_, (_, meaning))| !meaning.is_redacted);
        for ((_, value), (key, meaning)) in kept.take(MAX_ATTRIBUTES) {
            self.packer.push(key);
            let kinds = match value {
                Value::Text(text) => self.push(meaning.confidentiality, text),
                Value::Composite(text) => self.push(meaning.confidentiality, text),
                value => self.push_number(meaning.confidentiality, &value.to_text()),
            };
            note(kinds, key);
        }
        secrets.sort_unstable();
        secrets.dedup();
        (self.packer.detail(), secrets.into_boxed_slice())
    }

    fn push(&mut self, confidentiality: Confidentiality, value: &str) -> Kinds {
        let is_remembered = value.len() <= MAX_REMEMBERED_BYTES && !confidentiality.is_credential();
        let hash = || xxh3_64(value.as_bytes()) ^ confidentiality as u64;
        if is_remembered && (confidential::is_harmless_word(value) || self.harmless.contains(&hash())) {
            self.packer.push(value);
            return Kinds::default();
        }
        let Masked { text, kinds } = confidential::mask(confidentiality, value);
        self.packer.push(&text);
        if is_remembered && *text == *value {
            if self.harmless.len() >= MAX_HARMLESS {
                self.harmless.clear();
            }
            self.harmless.insert(hash());
        }
        kinds
    }

    /// A number or truth value: only a card's number is confidential among them.
    fn push_number(&mut self, confidentiality: Confidentiality, value: &str) -> Kinds {
        if confidentiality == Confidentiality::Card {
            return self.push(confidentiality, value);
        }
        self.packer.push(value);
        Kinds::default()
    }
}

const _: () = assert!(MAX_REMEMBERED_BYTES <= MAX_VALUE_BYTES, "a remembered value is never cut");
