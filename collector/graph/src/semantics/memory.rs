//! What spans were found to mean, remembered: most spans say what others have said before, in other words of time.
//!
//! Everything remembered is exact. A shape is found again by all that meaning is made of, a statement by a hash of its
//! text that is as good as any [`Name`]. Over its bound a memory forgets everything and begins anew.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::attributes::{Field, Known};
use super::inputs::Inputs;
use super::sql::Statement;
use super::{database, read_shape};
use crate::hash::HashMap;
use crate::name::{Name, NameTable};
use crate::span::{Call, Location, Marks, Outcome, ResourceId, SpanKind};

/// The most shapes that are remembered.
const MAX_SHAPES: usize = 2048;
/// The longest key of a shape that is remembered.
const MAX_KEY_BYTES: usize = 1024;
/// The most statements that are remembered.
const MAX_STATEMENTS: usize = 1024;
/// The longest text of a statement that is remembered.
const MAX_TEXT_BYTES: usize = 4096;

/// The meaning of a span, without what differs from call to call.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) kind: SpanKind,
    pub(super) outcome: Outcome,
    pub(super) is_probe: bool,
    pub(super) marks: Marks,
    pub(super) operation: Name,
    /// Without parameters, and with a batch of one.
    pub(super) call: Option<Call>,
    pub(super) location: Option<Box<Location>>,
}

impl Shape {
    fn for_each_name(&self, visit: &mut impl FnMut(Name)) {
        visit(self.operation);
        if let Some(call) = &self.call {
            call.for_each_name(visit);
        }
        if let Some(location) = &self.location {
            [location.file, location.function].into_iter().for_each(visit);
        }
    }
}

/// Shapes and statements, remembered.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Each shape, with the number of the batch that last heard its names.
    shapes: HashMap<Box<[u8]>, (Shape, u64)>,
    statements: HashMap<u64, Arc<Statement>>,
    /// The names of all shapes.
    names: NameTable,
    /// What stands for a text that was not given.
    no_statement: Arc<Statement>,
    batch: u64,
    key: Vec<u8>,
}

impl Memory {
    /// A new batch begins, which knows no name yet.
    pub(super) fn next_batch(&mut self) {
        self.batch += 1;
    }

    /// What the query text of a span says.
    pub(super) fn statement(&mut self, known: &Known<'_>) -> Arc<Statement> {
        if !known.has(Field::DbText) {
            return Arc::clone(&self.no_statement);
        }
        let (text, system) = (known.raw(Field::DbText), known.raw(Field::DbSystem));
        if text.len() > MAX_TEXT_BYTES {
            return Arc::new(database::statement(&system, &text));
        }
        if self.statements.len() >= MAX_STATEMENTS {
            self.statements.clear();
        }
        let hash = xxh3_64(text.as_bytes()) ^ xxh3_64(system.as_bytes()).rotate_left(32);
        Arc::clone(self.statements.entry(hash).or_insert_with(|| Arc::new(database::statement(&system, &text))))
    }

    /// The meaning of a span, whose names `names` knows afterwards.
    pub(super) fn shape(&mut self, inputs: &Inputs<'_>, resource: ResourceId, names: &mut NameTable) -> Shape {
        inputs.write_key(resource, &mut self.key);
        if self.key.len() > MAX_KEY_BYTES {
            return read_shape(inputs, names);
        }
        if let Some((shape, heard_in)) = self.shapes.get_mut(&*self.key) {
            if *heard_in != self.batch {
                *heard_in = self.batch;
                shape.for_each_name(&mut |name| names.insert(name, self.names.text(name)));
            }
            return shape.clone();
        }
        if self.shapes.len() >= MAX_SHAPES {
            self.shapes.clear();
            self.names = NameTable::default();
        }
        let shape = read_shape(inputs, &mut self.names);
        shape.for_each_name(&mut |name| names.insert(name, self.names.text(name)));
        self.shapes.insert(self.key.as_slice().into(), (shape.clone(), self.batch));
        shape
    }
}
