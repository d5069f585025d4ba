//! What people look at in a span, and which of its attributes were confidential.

use std::sync::Arc;

use itoa::Buffer;
use xxhash_rust::xxh3::xxh3_64;

use super::attributes::Sequence;
use super::confidential::{self, Confidentiality, Kinds, Masked};
use crate::detail::{Detail, Packer};
use crate::name::{Name, NameTable, cut};
use crate::span::{Attribute, Secret, SecretKind, SpanView, Value};
use crate::text::{MAX_VALUE_BYTES, scrub};

/// The key under which a credential in the message of a span's status is found.
const STATUS_MESSAGE: &str = "otel.status_description";

/// How many values are remembered as harmless.
const HARMLESS: usize = 1 << 14;
/// The longest values that are looked up: longer ones seldom come twice.
const MAX_REMEMBERED_BYTES: usize = 1024;

/// Packs details, and remembers which values are shown as they were sent.
#[derive(Debug)]
pub(super) struct Shown {
    /// Hashes of values in which nothing is scrubbed or masked, each at a place that follows from it; what comes to a
    /// place drives out what was there.
    harmless: Box<[u64]>,
    packer: Packer,
}

impl Default for Shown {
    fn default() -> Self {
        Self { harmless: vec![0; HARMLESS].into_boxed_slice(), packer: Packer::default() }
    }
}

/// What is kept of a span for people.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) detail: Detail,
    /// The name as it is shown.
    pub(super) name: Name,
    /// Sorted, once each.
    pub(super) secrets: Box<[Secret]>,
}

/// The secrets of a resource, which are those of each of its spans. E-mail addresses are none there: whoever owns a
/// service may say so.
pub(super) fn secrets_of(resource: &[Attribute<'_>], names: &mut NameTable) -> Box<[Secret]> {
    let mut secrets = Vec::new();
    for (key, value) in resource {
        let found = confidential::mask(confidential::of_key(key), &value.to_text()).kinds;
        let found = found.iter().filter(|kind| *kind != SecretKind::EmailAddress);
        secrets.extend(found.map(|kind| Secret { kind, key: names.intern(&scrub(key)) }));
    }
    secrets.into_boxed_slice()
}

impl Shown {
    /// The details of a span, and its secrets beside those of its resource.
    pub(super) fn read(
        &mut self,
        view: &SpanView<'_>,
        sequence: &Sequence,
        resource: &[Secret],
        names: &mut NameTable,
    ) -> Read {
        let mut secrets = resource.to_vec();
        let mut note = |kinds: Kinds, key: &str| {
            secrets.extend(kinds.iter().map(|kind| Secret { kind, key: names.intern(key) }));
        };
        self.packer.clear();
        note(self.push(Confidentiality::Unknown, cut(&view.name)), "");
        let name = Name::of(self.packer.first());
        note(self.push(Confidentiality::Unknown, &view.status_message), STATUS_MESSAGE);
        for shown in &sequence.shown {
            let confidentiality = shown.confidentiality;
            let kinds = match &view.attributes[shown.place].1 {
                Value::Text(text) => self.push(confidentiality, text),
                Value::Composite(text) => self.push(confidentiality, text),
                Value::Int(number) => self.push_number(confidentiality, Buffer::new().format(*number)),
                value => self.push_number(confidentiality, &value.to_text()),
            };
            note(kinds, &shown.key);
        }
        secrets.sort_unstable();
        secrets.dedup();
        Read { detail: self.packer.detail(Arc::clone(&sequence.packed)), name, secrets: secrets.into_boxed_slice() }
    }

    fn push(&mut self, confidentiality: Confidentiality, value: &str) -> Kinds {
        if value.len() > MAX_REMEMBERED_BYTES || confidentiality.is_credential() {
            let Masked { text, kinds } = confidential::mask(confidentiality, value);
            self.packer.push(&text);
            return kinds;
        }
        if confidential::is_harmless_word(value) {
            self.packer.push(value);
            return Kinds::default();
        }
        let hash = (xxh3_64(value.as_bytes()) ^ confidentiality as u64).max(1);
        let place = &mut self.harmless[hash as usize % HARMLESS];
        if *place == hash {
            self.packer.push(value);
            return Kinds::default();
        }
        let Masked { text, kinds } = confidential::mask(confidentiality, value);
        self.packer.push(&text);
        if *text == *value {
            *place = hash;
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
