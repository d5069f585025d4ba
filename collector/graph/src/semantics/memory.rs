//! What spans were found to mean, remembered: most spans say what others have said before, in other words of time.
//!
//! A shape is found again by a hash of all that meaning is made of, a statement by one of its text, both as good as any
//! [`Name`].

use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::Arc;

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::attributes::{Field, Known, Sequence};
use super::inputs::{Asked, Inputs, Meant};
use super::shown::Shared;
use super::sql::Statement;
use super::varying::Varying;
use super::{database, read_shape};
use crate::hash::HashMap;
use crate::name::{Name, NameTable};
use crate::span::{Likeness, Resource, ResourceId, Shape, SpanView};

/// How many shapes are remembered at most, half of them as long as they are asked for.
const MAX_SHAPES: Limit = Limit { entries: 8192, bytes: 8 << 20 };
/// How many statements are remembered at most, half of them as long as they are asked for.
const MAX_STATEMENTS: Limit = Limit { entries: 2048, bytes: 2 << 20 };
/// The longest text of a statement that is remembered.
const MAX_TEXT_BYTES: usize = 4096;

/// How much is remembered at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    pub(super) entries: usize,
    pub(super) bytes: usize,
}

/// What is remembered.
pub(super) trait Remember {
    /// How many bytes it takes, about.
    fn bytes(&self) -> usize;
}

/// A map bounded in entries and bytes that forgets what was not asked for lately.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    /// Of those that are young.
    bytes: usize,
    limit: Limit,
}

impl<K: Eq + Hash, V: Remember> Recent<K, V> {
    /// A map that holds no more than `limit`.
    pub(super) fn new(limit: Limit) -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), bytes: 0, limit }
    }

    /// The value of a key, which is young again.
    pub(super) fn get<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        if !self.young.contains_key(key) {
            let (key, value) = self.old.remove_entry(key)?;
            self.insert(key, value);
        }
        self.young.get_mut(key)
    }

    /// The value of a key, which is young again; where none is remembered, that of `make`.
    pub(super) fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V
    where
        K: Copy,
    {
        if !self.young.contains_key(&key) {
            let value = self.old.remove(&key).unwrap_or_else(make);
            self.insert(key, value);
        }
        self.young.get_mut(&key).expect("it was inserted")
    }

    /// Remembers a value.
    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.limit.entries / 2 || self.bytes >= self.limit.bytes / 2 {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        self.bytes += value.bytes();
        self.young.insert(key, value);
    }
}

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
    meant: Option<Meant<'static>>,
    /// Whether more than one of them was met, and they have one name.
    is_common: bool,
    /// The names that both refer to.
    names: Box<[(Name, Box<str>)]>,
    /// The batch that last heard of it.
    batch: u64,
}

impl Remembered {
    /// Makes copies for a new batch, which goes to another thread: so no two threads count references to one thing.
    fn renew(&mut self, batch: u64, names: &mut NameTable) {
        self.batch = batch;
        self.names.iter().for_each(|(name, text)| names.insert(*name, text));
        self.shape = Arc::new(Shape::clone(&self.shape));
        self.shared.renew();
    }
}

impl Remember for Remembered {
    fn bytes(&self) -> usize {
        let names: usize = self.names.iter().map(|name| size_of_val(name) + name.1.len()).sum();
        let meant = self.meant.as_ref().map_or(0, Meant::text_bytes);
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

impl Default for Memory {
    fn default() -> Self {
        Self {
            shapes: Recent::new(MAX_SHAPES),
            statements: Statements { recent: Recent::new(MAX_STATEMENTS), none: Arc::default() },
            batch: 0,
            key: Vec::new(),
        }
    }
}

impl Memory {
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
        let mut is_common = true;
        let remembered = self.shapes.get_or_insert_with(key, || {
            is_common = false;
            let mut own = NameTable::default();
            let shape = Arc::new(read_shape(inputs, (id, resource), &mut own));
            let shared = Shared::of(inputs, view, &mut own);
            names.merge(&own);
            Remembered {
                shape,
                shared,
                sequence: Arc::clone(sequence),
                statement: Arc::clone(statement),
                open: inputs.open(view.attributes),
                meant: inputs.is_meant_anew().then(|| inputs.asked.meant.to_owned()),
                is_common,
                names: own.sorted(|_| true).into_iter().collect(),
                batch,
            }
        });
        remembered.is_common = is_common && inputs.is_name_whole;
        if remembered.batch != batch {
            remembered.renew(batch, names);
        }
        (key, remembered)
    }

    /// What spans have in common that are recalled by `key`; none where only one was met so far, or each has a name of
    /// its own.
    pub(super) fn likeness(&mut self, key: u128) -> Option<Likeness> {
        let remembered = self.shapes.get(&key).filter(|remembered| remembered.is_common)?;
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
        let varying = match &remembered.meant {
            Some(meant) => {
                let asked = Asked::of(known);
                let statement = self.statements.of(&known);
                if asked.meant != *meant || statement.identity != remembered.statement.identity {
                    return None;
                }
                Varying::of(shape, &known, &statement, &asked)
            }
            None => Varying::of(shape, &known, &remembered.statement, &Asked::default()),
        };
        if remembered.batch != self.batch {
            remembered.renew(self.batch, names);
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
        Arc::clone(self.recent.get_or_insert_with(hash, || Arc::new(database::statement(system, text))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many bytes.
    impl Remember for usize {
        fn bytes(&self) -> usize {
            *self
        }
    }

    #[test]
    fn what_takes_much_is_forgotten_sooner() {
        let mut recent = Recent::new(Limit { entries: 1000, bytes: 800 });
        for number in 0..100 {
            recent.insert(number, 100);
            assert!(recent.young.len() <= 4 && recent.old.len() <= 4);
        }
    }

    #[test]
    fn what_is_asked_for_is_not_forgotten() {
        let mut recent = Recent::new(Limit { entries: 4, bytes: 1000 });
        for number in 0..100 {
            recent.insert(number, number);
            assert_eq!(recent.get(&0), Some(&mut 0), "{number}");
            assert!(recent.young.len() + recent.old.len() <= 4);
        }
        assert_eq!(recent.get(&50), None);
    }
}
