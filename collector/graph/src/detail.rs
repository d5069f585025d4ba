//! What people look at in a span, packed small.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use triomphe::ThinArc;

use crate::name::Name;
use crate::text::without_counts;

/// Name, status message and attributes of a span: scrubbed, masked, packed.
///
/// Packed are length-prefixed (LEB128) UTF-8 texts. What all spans of one shape show alike stands in a frame, which
/// they share; a span has what is left for itself, in one piece of memory with the spans of its trace that came with it.
///
/// **Invariant:** details are compared by what they show: how much of it stands in a frame depends on what was met before.
#[derive(Clone, Default)]
pub struct Detail {
    /// The piece that holds those of name, status message and values that the frame leaves open; none for no byte.
    piece: Option<Piece>,
    /// Where in the piece they begin.
    start: u32,
    /// How many bytes they are.
    length: u32,
    frame: Arc<Frame>,
}

/// Packed texts of one or more details.
type Piece = ThinArc<(), u8>;

impl Detail {
    /// Packs what people look at.
    pub fn new<'a>(
        name: &str,
        status_message: &str,
        attributes: impl IntoIterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
    ) -> Self {
        let (keys, values): (Vec<_>, Vec<_>) = attributes.into_iter().unzip();
        let mut packer = Packer::default();
        packer.push(name);
        packer.push(status_message);
        for value in &values {
            packer.push(value);
        }
        let mut detail = packer.detail(Arc::new(Frame::new(keys_of(keys.iter().map(|key| &**key)), [])));
        packer.hand_out(std::iter::once(&mut detail));
        detail
    }

    /// The name of the span.
    pub fn name(&self) -> &str {
        self.shown().next().unwrap_or_default()
    }

    /// The place in the code that the name tells of, where the frame has the name.
    pub(crate) fn place(&self) -> Option<Name> {
        self.frame.place
    }

    /// The message of the status, empty where there is none.
    pub fn status_message(&self) -> &str {
        self.shown().nth(1).unwrap_or_default()
    }

    /// Keys and values in the order sent.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        Texts(&self.frame.keys).zip(self.shown().skip(2))
    }

    /// How many bytes its part of the piece takes that holds its own texts.
    pub fn text_bytes(&self) -> usize {
        let Some(piece) = &self.piece else { return 0 };
        (size_of::<[usize; 2]>() + piece.slice.len()).div_ceil(ThinArc::strong_count(piece))
    }

    /// Its own texts, packed.
    fn texts(&self) -> &[u8] {
        let start = self.start as usize;
        self.piece.as_ref().map_or(&[], |piece| &piece.slice[start..start + self.length as usize])
    }

    /// How many bytes its part of the frame takes, which it shares with other details and with whoever read them.
    pub fn frame_bytes(&self) -> usize {
        let Frame { keys, shared, place: _ } = &*self.frame;
        let counts = size_of::<[usize; 2]>();
        let keys = (counts + keys.len()) / (Arc::strong_count(keys) - 1).max(1);
        let whole = counts + size_of::<Frame>() + counts + shared.len() + keys;
        whole / (Arc::strong_count(&self.frame) - 1).max(1)
    }

    /// Name, status message and values.
    fn shown(&self) -> impl Iterator<Item = &str> {
        let (mut shared, mut own) = (Slots(&self.frame.shared), Texts(self.texts()));
        std::iter::from_fn(move || shared.next().flatten().or_else(|| own.next()))
    }
}

impl Ord for Detail {
    fn cmp(&self, other: &Self) -> Ordering {
        self.frame.keys.cmp(&other.frame.keys).then_with(|| self.shown().cmp(other.shown()))
    }
}

impl PartialOrd for Detail {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Detail {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Detail {}

impl fmt::Debug for Detail {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.attributes()).finish()
    }
}

/// What the details of many spans have in common: the keys of their attributes, and those texts that are the same.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    /// Packed.
    keys: Arc<[u8]>,
    /// For each of name, status message and values its text, packed with a length that is one too great, or a zero where
    /// each span has its own; what follows the last is each span's own.
    shared: Arc<[u8]>,
    /// The place in the code that the name tells of, which every span asks for; none where each has its own name.
    place: Option<Name>,
}

impl Frame {
    /// A frame for these keys; none for a text stands for one of which each span has its own.
    pub(crate) fn new<'a>(keys: Arc<[u8]>, shared: impl IntoIterator<Item = Option<&'a str>>) -> Self {
        let mut packed = Vec::new();
        let mut shared = shared.into_iter().peekable();
        let name = shared.peek().copied().flatten();
        let place = name.map(|name| Name::of(&without_counts(name)));
        for text in shared {
            push_length(&mut packed, text.map_or(0, |text| text.len() + 1));
            packed.extend_from_slice(text.unwrap_or_default().as_bytes());
        }
        Self { keys, shared: packed.into(), place }
    }

    /// How many bytes it takes, without the keys, which others share.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.shared.len()
    }
}

/// Packs keys.
pub(crate) fn keys_of<'a>(keys: impl IntoIterator<Item = &'a str>) -> Arc<[u8]> {
    let mut packer = Packer::default();
    for key in keys {
        packer.push(key);
    }
    packer.packed.into()
}

/// The texts that are left of packed ones.
struct Texts<'a>(&'a [u8]);

impl<'a> Iterator for Texts<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let length = take_length(&mut self.0)?;
        Some(take_text(&mut self.0, length))
    }
}

/// What is left of the texts of a frame.
struct Slots<'a>(&'a [u8]);

impl<'a> Iterator for Slots<'a> {
    type Item = Option<&'a str>;

    fn next(&mut self) -> Option<Option<&'a str>> {
        let length = take_length(&mut self.0)?.checked_sub(1);
        Some(length.map(|length| take_text(&mut self.0, length)))
    }
}

fn take_length(rest: &mut &[u8]) -> Option<usize> {
    let mut length = 0usize;
    let mut shift = 0;
    loop {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        length |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(length);
        }
        shift += 7;
    }
}

fn take_text<'a>(rest: &mut &'a [u8], length: usize) -> &'a str {
    let (text, tail) = rest.split_at(length);
    *rest = tail;
    std::str::from_utf8(text).expect("packed from texts")
}

fn push_length(packed: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        packed.push(length as u8 | 0x80);
        length >>= 7;
    }
    packed.push(length as u8);
}

/// Packs texts, one after another, into a buffer that is used again: those of one detail, then those of the next. Details
/// have them when they are handed out.
#[derive(Debug, Default)]
pub(crate) struct Packer {
    packed: Vec<u8>,
    /// Where the detail begins that is being packed.
    start: usize,
    /// The texts of details that share a piece.
    piece: Vec<u8>,
}

impl Packer {
    /// How many bytes wait to be handed out, but for those of the last detail.
    const FULL_BYTES: usize = 1 << 16;

    /// Packs the next text.
    pub(crate) fn push(&mut self, text: &str) {
        push_length(&mut self.packed, text.len());
        self.packed.extend_from_slice(text.as_bytes());
    }

    /// The first text since the last detail.
    pub(crate) fn first(&self) -> &str {
        Texts(&self.packed[self.start..]).next().unwrap_or_default()
    }

    /// What was packed since the last detail: the texts that `frame` leaves open.
    pub(crate) fn detail(&mut self, frame: Arc<Frame>) -> Detail {
        let start = std::mem::replace(&mut self.start, self.packed.len());
        Detail { piece: None, start: place(start), length: place(self.start - start), frame }
    }

    /// Whether so much waits that it is to be handed out.
    pub(crate) fn is_full(&self) -> bool {
        self.packed.len() > Self::FULL_BYTES
    }

    /// Gives some of the details that were packed since the last `clear` their texts, in one piece of memory.
    pub(crate) fn hand_out<'a>(&mut self, details: impl Iterator<Item = &'a mut Detail>) {
        let mut open = Vec::new();
        self.piece.clear();
        for detail in details.filter(|detail| detail.length > 0) {
            let start = detail.start as usize;
            detail.start = place(self.piece.len());
            self.piece.extend_from_slice(&self.packed[start..start + detail.length as usize]);
            open.push(detail);
        }
        if open.is_empty() {
            return;
        }
        let piece = Piece::from_header_and_slice((), &self.piece);
        for detail in open {
            detail.piece = Some(piece.clone());
        }
    }

    /// Begins anew, once every detail has its texts.
    pub(crate) fn clear(&mut self) {
        self.packed.clear();
        self.packed.shrink_to(2 * Self::FULL_BYTES);
        self.piece.shrink_to(2 * Self::FULL_BYTES);
        self.start = 0;
    }
}

/// A place in a piece.
fn place(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("texts are cut and few, and handed out in time")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detail_gives_back_what_was_packed() {
        let long = "x".repeat(300);
        let attributes = [("a", "1"), ("empty", ""), ("long", &long)];
        let detail = Detail::new("GET /cart", "boom", attributes.map(|(k, v)| (k.into(), v.into())));
        assert_eq!(detail.name(), "GET /cart");
        assert_eq!(detail.status_message(), "boom");
        assert_eq!(detail.attributes().collect::<Vec<_>>(), attributes);
        assert!(Detail::default().attributes().next().is_none());
    }

    #[test]
    fn what_the_frame_has_stands_at_its_place() {
        let frame = Frame::new(keys_of(["a", "b", "c"]), [None, Some(""), Some("1"), None, Some("3")]);
        let mut packer = Packer::default();
        packer.push("GET /cart");
        packer.push("2");
        let mut detail = packer.detail(Arc::new(frame));
        packer.hand_out(std::iter::once(&mut detail));
        let attributes = [("a", "1"), ("b", "2"), ("c", "3")];
        assert_eq!((detail.name(), detail.status_message()), ("GET /cart", ""));
        assert_eq!(detail.attributes().collect::<Vec<_>>(), attributes);
        assert_eq!(detail, Detail::new("GET /cart", "", attributes.map(|(k, v)| (k.into(), v.into()))));
    }

    #[test]
    fn details_of_one_piece_have_their_own_texts() {
        let mut packer = Packer::default();
        let mut pack = |name: &str| {
            packer.push(name);
            packer.push("");
            packer.detail(Arc::default())
        };
        let mut details = ["GET /cart", "", "GET /pay"].map(&mut pack);
        let empty = packer.detail(Arc::default());
        packer.hand_out(details.iter_mut());
        let names = details.each_ref().map(Detail::name);
        assert_eq!((names, empty.name()), (["GET /cart", "", "GET /pay"], ""));
        let bytes: usize = details.iter().map(Detail::text_bytes).sum();
        assert!(bytes >= size_of::<[usize; 2]>() + "GET /cartGET /pay".len() + 6, "{bytes}");
    }
}
