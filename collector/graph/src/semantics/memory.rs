//! What spans were found to mean, remembered: most spans say what others have said before, in other words of time.
//!
//! A shape is found again by a hash of all that meaning is made of, a statement by one of its text, both as good as any
//! [`Name`].

use std::sync::Arc;

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::asked::{AskedUrl, MeantUrl, Parties};
use super::attributes::{Field, Known, Sequence};
use super::inputs::Inputs;
use super::shown::Shared;
use super::sql::Statement;
use super::varying::{Requested, Varying};
use super::{database, read_shape};
use crate::name::{Name, NameTable};
use crate::recent::{Recent, Remember};
use crate::span::{Likeness, Resource, ResourceId, Shape, SpanView};

/// Of all that is remembered, the part that shapes take: one in so many.
const SHAPES_SHARE: usize = 2;
/// The part that statements take.
const STATEMENTS_SHARE: usize = 8;
/// The longest text of a statement that is remembered.
const MAX_TEXT_BYTES: usize = 4096;

/// A shape, with what else its spans have in common.
#[derive(Debug)]
pub(super) struct Remembered {
    pub(super) shape: Arc<Shape>,
    pub(super) shared: Shared,
    /// The keys of its spans, and what they mean.
    pub(super) sequence: Arc<Sequence>,
    /// What the query text of the first of them says.
    statement: Arc<Statement>,
    /// The places of the attributes in which they may differ.
    open: Box<[u16]>,
    /// What they mean with what is open; none where each open value stands for itself.
    meant: Option<Meant>,
    /// Whether they have one name.
    is_name_shared: bool,
    /// The names that both refer to.
    names: Box<[(Name, Box<str>)]>,
    /// The batch that last heard of it.
    batch: u64,
}

/// What spans mean with what is open in them.
#[derive(Debug)]
struct Meant {
    url: MeantUrl<'static>,
    parties: Parties,
    /// A hash of the URL that the last of them asked for, and what it tells: many ask for the same again.
    last: Option<(u64, Requested)>,
}

impl Meant {
    /// What `known` asks for with its URL; none where that means something else.
    fn requested(&mut self, shape: &Shape, known: &Known<'_>) -> Option<Requested> {
        let hash = AskedUrl::hash_of(known);
        if let Some((_, requested)) = self.last.filter(|last| last.0 == hash) {
            return Some(requested);
        }
        let url = AskedUrl::of(*known);
        if url.meant != self.url {
            return None;
        }
        let requested = Requested::of(shape, &url);
        self.last = Some((hash, requested));
        Some(requested)
    }
}

impl Remembered {
    /// Tells a new batch the names.
    fn tell(&mut self, batch: u64, names: &mut NameTable) {
        self.batch = batch;
        self.names.iter().for_each(|(name, text)| names.insert(*name, text));
    }
}

impl Remember for Remembered {
    fn bytes(&self) -> usize {
        let names: usize = self.names.iter().map(|name| size_of_val(name) + name.1.len()).sum();
        let meant = self.meant.as_ref().map_or(0, |meant| meant.url.text_bytes());
        let statement = self.statement.bytes() + size_of_val(&*self.open) + meant;
        size_of::<Self>() + size_of::<Shape>() + names + self.shared.bytes() + statement
    }
}

impl Remember for Arc<Statement> {
    fn bytes(&self) -> usize {
        size_of::<Statement>() + self.template.len() + size_of_val(&*self.tables)
    }
}

/// Shapes and statements, remembered.
#[derive(Debug)]
pub(super) struct Memory {
    shapes: Recent<u128, Remembered>,
    /// The last one that is not remembered.
    stranger: Option<Remembered>,
    pub(super) statements: Statements,
    batch: u64,
    key: Vec<u8>,
}

/// Statements, remembered.
#[derive(Debug)]
pub(super) struct Statements {
    recent: Recent<u64, Arc<Statement>>,
    /// What stands for a text that was not given.
    none: Arc<Statement>,
}

impl Memory {
    /// Remembers as much as there is room for in its parts of `bytes`.
    pub(super) fn within(bytes: usize) -> Self {
        let statements = Recent::within(bytes / STATEMENTS_SHARE);
        Self {
            shapes: Recent::within(bytes / SHAPES_SHARE),
            stranger: None,
            statements: Statements { recent: statements, none: Arc::default() },
            batch: 0,
            key: Vec::new(),
        }
    }

    /// A new batch begins, which knows no name yet.
    pub(super) fn next_batch(&mut self) {
        self.batch += 1;
    }

    /// What a span has in common with others, whose names `names` knows afterwards, and by what it is recalled.
    pub(super) fn remembered(
        &mut self,
        inputs: &Inputs<'_>,
        view: &SpanView<'_>,
        (sequence, statement): (&Arc<Sequence>, &Arc<Statement>),
        (id, resource): (ResourceId, &Resource),
        names: &mut NameTable,
    ) -> (u128, &Remembered) {
        inputs.write_key(id, &mut self.key);
        let key = xxh3_128(&self.key);
        let batch = self.batch;
        let make = |shared: Shared, names: &mut NameTable| Remembered {
            shape: Arc::new(read_shape(inputs, (id, resource), names)),
            shared,
            sequence: Arc::clone(sequence),
            statement: Arc::clone(statement),
            open: Box::default(),
            meant: None,
            is_name_shared: inputs.is_name_whole,
            names: Box::default(),
            batch,
        };
        let remembered = if self.shapes.knows(&key) {
            self.shapes.get(&key).expect("it is known")
        } else if self.shapes.meets_again(key as u64) {
            let mut own = NameTable::default();
            let made = make(Shared::of(inputs, view, &mut own), &mut own);
            names.merge(&own);
            // By these it is recalled, which a stranger never is.
            let open = inputs.open(view.attributes);
            let (url, parties) = (&inputs.asked.url.meant, inputs.asked.parties);
            let meant = inputs.is_meant_anew().then(|| Meant { url: url.to_owned(), parties, last: None });
            let names = own.sorted(|_| true).into_iter().map(|(name, text)| (name, text.into())).collect();
            self.shapes.insert(key, Remembered { open, meant, names, ..made })
        } else {
            self.stranger.insert(make(Shared::nothing(sequence), names))
        };
        if remembered.batch != batch {
            remembered.tell(batch, names);
        }
        (key, remembered)
    }

    /// What spans have in common that are recalled by `key`; none where they are not remembered, or each has a name of its
    /// own.
    pub(super) fn likeness(&mut self, key: u128) -> Option<Likeness> {
        let remembered = self.shapes.get(&key).filter(|remembered| remembered.is_name_shared)?;
        Some(Likeness { key, open: remembered.open.clone() })
    }

    /// What a span that is as `key` says has in common with others, and what differs; none where it is not.
    pub(super) fn recall(
        &mut self,
        key: u128,
        view: &SpanView<'_>,
        resource: ResourceId,
        names: &mut NameTable,
    ) -> Option<(&Remembered, Varying)> {
        let remembered = self.shapes.get(&key).filter(|remembered| remembered.shape.resource == resource)?;
        let known = Known::of(view.attributes, &remembered.sequence);
        let shape = &*remembered.shape;
        let varying = match &mut remembered.meant {
            Some(meant) => {
                let statement = self.statements.of(&known);
                if Parties::of(known) != meant.parties || statement.identity != remembered.statement.identity {
                    return None;
                }
                Varying::of(shape, &known, &statement, meant.requested(shape, &known)?)
            }
            None => Varying::of(shape, &known, &remembered.statement, Requested::default()),
        };
        if remembered.batch != self.batch {
            remembered.tell(self.batch, names);
        }
        Some((remembered, varying))
    }
}

impl Statements {
    /// What the query text of a span says.
    pub(super) fn of(&mut self, known: &Known<'_>) -> Arc<Statement> {
        if !known.has(Field::DbText) {
            return Arc::clone(&self.none);
        }
        let (text, system) = (known.text(Field::DbText), known.text(Field::DbSystem));
        if text.len() > MAX_TEXT_BYTES {
            return Arc::new(database::statement(system, text));
        }
        let hash = xxh3_64(text.as_bytes()) ^ xxh3_64(system.as_bytes()).rotate_left(32);
        if let Some(statement) = self.recent.get(&hash) {
            return Arc::clone(statement);
        }
        let statement = Arc::new(database::statement(system, text));
        if self.recent.meets_again(hash) {
            self.recent.insert(hash, Arc::clone(&statement));
        }
        statement
    }
}
