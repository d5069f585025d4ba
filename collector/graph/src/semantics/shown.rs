//! What people look at in a span, and which of its attributes were confidential.

use std::borrow::Cow;
use std::sync::Arc;

use itoa::Buffer;

use super::attributes::{Field, Sequence};
use super::confidential::{self, Confidentiality, Harmless, Kinds, Masked};
use super::inputs::Inputs;
use super::{EXCEPTION_TYPE, MAX_ATTRIBUTES};
use crate::detail::{Detail, Frame, Packer};
use crate::name::{Name, NameTable, cut};
use crate::span::{Attribute, Secret, SecretKind, SpanView, Value};
use crate::text::{MAX_VALUE_BYTES, scrub};

/// The key under which a credential in the message of a span's status is found.
const STATUS_MESSAGE: &str = "otel.status_description";

/// The most bytes of texts that the spans of one shape share; it bounds what is remembered.
const MAX_SHARED_BYTES: usize = 1024;
/// How many values are remembered as harmless.
const HARMLESS: usize = 1 << 14;
/// The longest values that are looked up: longer ones seldom come twice.
const MAX_REMEMBERED_BYTES: usize = 1024;

/// Packs details, and remembers which values are shown as they were sent.
#[derive(Debug)]
pub(super) struct Shown {
    /// Values in which nothing is scrubbed or masked.
    harmless: Harmless,
    packer: Packer,
    /// Whether something that was read since the last batch is masked, or cut off.
    is_less: bool,
}

impl Default for Shown {
    fn default() -> Self {
        Self { harmless: Harmless::within(HARMLESS), packer: Packer::default(), is_less: false }
    }
}

/// What is kept of a span for people.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) detail: Detail,
    /// The name as it is shown.
    pub(super) name: Name,
    /// Sorted, once each.
    pub(super) secrets: Vec<Secret>,
}

/// What spans of one shape show alike.
#[derive(Debug)]
pub(super) struct Shared {
    frame: Arc<Frame>,
    /// The name as it is shown; none where each span has its own.
    name: Option<Name>,
    /// Which of the attributes that are shown each span has for itself.
    own: Box<[usize]>,
    /// Those among what is shared.
    secrets: Box<[Secret]>,
    /// Whether something of it is masked.
    is_less: bool,
}

impl Shared {
    /// What spans with these inputs show alike, of which `view` is the first.
    pub(super) fn of(inputs: &Inputs<'_>, view: &SpanView<'_>, names: &mut NameTable) -> Self {
        let sequence = inputs.known.sequence;
        let mut secrets = Vec::new();
        let mut rest = MAX_SHARED_BYTES;
        let mut is_some_less = cut(&view.name).len() < view.name.len();
        let mut share = |confidentiality: Confidentiality, key: &str, value: &str| {
            rest = rest.checked_sub(value.len())?;
            let Masked { text, kinds, is_less } = confidential::mask(confidentiality, value);
            is_some_less |= is_less;
            secrets.extend(kinds.iter().map(|kind| Secret { kind, key: names.intern(key) }));
            Some(text.into_owned())
        };
        let of_name = of_name(view, sequence);
        let name = if inputs.is_name_whole { share(of_name, "", cut(&view.name)) } else { None };
        let mut own = Vec::new();
        // The message of the status is each span's own.
        let mut texts = vec![name, None];
        for (index, shown) in sequence.shown.iter().enumerate() {
            let attribute = &view.attributes[shown.place];
            let is_shared = inputs.is_shared(shown.place, attribute);
            let text = if is_shared { share(shown.confidentiality, &shown.key, &attribute.1.to_text()) } else { None };
            if text.is_none() {
                own.push(index);
            }
            texts.push(text);
        }
        Self {
            name: texts[0].as_deref().map(Name::of),
            frame: Arc::new(Frame::new(Arc::clone(&sequence.packed), texts.iter().map(Option::as_deref))),
            own: own.into_boxed_slice(),
            secrets: secrets.into_boxed_slice(),
            is_less: is_some_less,
        }
    }

    /// What a span shows that shares nothing but the keys of its attributes.
    pub(super) fn nothing(sequence: &Sequence) -> Self {
        Self {
            name: None,
            frame: Arc::new(Frame::new(Arc::clone(&sequence.packed), [])),
            own: (0..sequence.shown.len()).collect(),
            secrets: Box::default(),
            is_less: false,
        }
    }

    /// How many bytes it takes, about.
    pub(super) fn bytes(&self) -> usize {
        self.frame.bytes() + size_of_val(&*self.own) + size_of_val(&*self.secrets)
    }
}

/// What the name of a span may hold. One word that names a call of a database is where it goes: X-Ray writes
/// `orders@db.shop.com`, which is nobody's address. Longer ones may be the query.
fn of_name(view: &SpanView<'_>, sequence: &Sequence) -> Confidentiality {
    let is_word = || !view.name.contains(|character: char| character.is_whitespace() || character == '\'');
    if sequence.has(Field::DbSystem) && is_word() { Confidentiality::Technical } else { Confidentiality::Unknown }
}

/// The secrets of a resource, which are those of each of its spans, and whether something in it is masked. E-mail
/// addresses are no secrets there: whoever owns a service may say so.
pub(super) fn secrets_of(resource: &[Attribute<'_>], names: &mut NameTable) -> (Box<[Secret]>, bool) {
    let (mut secrets, mut is_some_less) = (Vec::new(), false);
    for (key, value) in resource {
        let value = value.to_text();
        let Masked { kinds, is_less, .. } = confidential::mask(confidential::of_key(key), &value);
        is_some_less |= is_less;
        let found = kinds.iter().filter(|kind| *kind != SecretKind::EmailAddress);
        secrets.extend(found.map(|kind| Secret { kind, key: names.intern(&scrub(key)) }));
    }
    (secrets.into_boxed_slice(), is_some_less)
}

impl Shown {
    /// Whether something that was read since the last time is masked, or cut off.
    pub(super) fn take_is_less(&mut self) -> bool {
        std::mem::take(&mut self.is_less)
    }

    /// The details of a span that has `shared` in common with others, and its secrets beside those of its resource. The
    /// details have their texts when these are handed out.
    pub(super) fn read(
        &mut self,
        view: &SpanView<'_>,
        sequence: &Sequence,
        (resource, shared): (&[Secret], &Shared),
        names: &mut NameTable,
    ) -> Read {
        let mut secrets = resource.to_vec();
        secrets.extend_from_slice(&shared.secrets);
        let mut note = |kinds: Kinds, key: &str| {
            if kinds == Kinds::default() {
                return;
            }
            secrets.extend(kinds.iter().map(|kind| Secret { kind, key: names.intern(key) }));
        };
        self.is_less |= shared.is_less || view.attributes.len() > MAX_ATTRIBUTES;
        let name = shared.name.unwrap_or_else(|| {
            let name = cut(&view.name);
            self.is_less |= name.len() < view.name.len();
            note(self.push(of_name(view, sequence), name), "");
            Name::of(self.packer.first())
        });
        let (message, key) = match &*view.status_message {
            "" => (&*view.exception, EXCEPTION_TYPE),
            message => (message, STATUS_MESSAGE),
        };
        note(self.push(Confidentiality::Unknown, message), key);
        for shown in shared.own.iter().map(|&index| &sequence.shown[index]) {
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
        Read { detail: self.packer.detail(Arc::clone(&shared.frame)), name, secrets }
    }

    /// Whether so many texts wait that they are to be handed out.
    pub(super) fn is_full(&self) -> bool {
        self.packer.is_full()
    }

    /// Gives some of the details that were read since the last `clear` their texts.
    pub(super) fn hand_out<'a>(&mut self, details: impl Iterator<Item = &'a mut Detail>) {
        self.packer.hand_out(details);
    }

    /// Begins anew, once every detail has its texts.
    pub(super) fn clear(&mut self) {
        self.packer.clear();
    }

    /// Looks at the value of an attribute that is not shown; remembers where something in it would be masked.
    pub(super) fn pass_over(&mut self, key: &str, value: &str) {
        if value.len() > MAX_REMEMBERED_BYTES {
            self.is_less |= confidential::mask(confidential::of_key(key), value).is_less;
            return;
        }
        // Of what is not shown it does not matter that it is scrubbed, as every stack trace is of its line ends.
        let place = self.harmless.place_of(key, value);
        if place.is_known() {
            return;
        }
        if confidential::mask(confidential::of_key(key), value).is_less {
            self.is_less = true;
        } else {
            place.remember();
        }
    }

    fn push(&mut self, confidentiality: Confidentiality, value: &str) -> Kinds {
        let Masked { text, kinds, .. } = self.look_at(confidentiality, value);
        self.packer.push(&text);
        kinds
    }

    /// What is shown of a value; remembers where that is less than the value.
    #[inline]
    fn look_at<'v>(&mut self, confidentiality: Confidentiality, value: &'v str) -> Masked<'v> {
        let as_sent = || Masked { text: Cow::Borrowed(value), kinds: Kinds::default(), is_less: false };
        let mut mask = || {
            let masked = confidential::mask(confidentiality, value);
            self.is_less |= masked.is_less;
            masked
        };
        if value.len() > MAX_REMEMBERED_BYTES || confidentiality.is_credential() {
            return mask();
        }
        if confidential::is_harmless_word(value) {
            return as_sent();
        }
        let place = self.harmless.place(confidentiality, value);
        if place.is_known() {
            return as_sent();
        }
        let masked = mask();
        if *masked.text == *value {
            place.remember();
        }
        masked
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
