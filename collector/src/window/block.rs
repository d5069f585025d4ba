//! The facts of one stretch of time: as they are while they change, packed when they rest.

use std::sync::Arc;

use spanlint_graph::facts::FactLimits;
use spanlint_graph::{Facts, Fold, TraceId};

use crate::size::facts_bytes;

/// How hard packed facts are compressed: the least, since it is paid for all the time.
const LEVEL: i32 = 1;

/// Facts as bytes.
#[derive(Debug, Clone)]
pub(super) struct Packed(Arc<[u8]>);

impl Packed {
    pub(super) fn of(facts: &Facts) -> Self {
        let plain = postcard::to_stdvec(facts).expect("facts always encode");
        Self(zstd::bulk::compress(&plain, LEVEL).expect("memory can be compressed").into())
    }

    pub(super) fn unpack(&self) -> Facts {
        let plain = zstd::stream::decode_all(&*self.0).expect("what was packed here unpacks");
        postcard::from_bytes(&plain).expect("what was packed here decodes")
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.len()
    }
}

/// The facts of one stretch of time.
#[derive(Debug)]
pub(super) struct Block {
    state: State,
    /// The traces that the facts cite; none until they are asked for after a change.
    exemplars: Option<Box<[TraceId]>>,
    /// Whether facts came since [`Block::rest`].
    is_busy: bool,
}

#[derive(Debug)]
enum State {
    Open(Box<Facts>),
    Packed(Packed),
}

impl Default for Block {
    fn default() -> Self {
        Self { state: State::Open(Box::default()), exemplars: None, is_busy: true }
    }
}

impl Block {
    /// Adds facts, within `limits`.
    pub(super) fn fold(&mut self, facts: &Facts, limits: FactLimits) {
        if let State::Packed(packed) = &self.state {
            self.state = State::Open(Box::new(packed.unpack()));
        }
        let State::Open(own) = &mut self.state else { unreachable!("it was opened above") };
        own.fold(facts);
        own.trim(limits);
        self.exemplars = None;
        self.is_busy = true;
    }

    /// Keeps what `limits` allow, while the facts are not packed.
    pub(super) fn trim(&mut self, limits: FactLimits) {
        if let State::Open(facts) = &mut self.state {
            facts.trim(limits);
            self.exemplars = None;
        }
    }

    /// Adds the facts to a sum.
    pub(super) fn fold_into(&self, sum: &mut Facts) {
        match &self.state {
            State::Open(facts) => sum.fold(facts),
            State::Packed(packed) => sum.fold(&packed.unpack()),
        }
    }

    /// Packs the facts unless some came since the last time.
    pub(super) fn rest(&mut self) {
        if std::mem::take(&mut self.is_busy) {
            return;
        }
        if let State::Open(facts) = &self.state {
            self.exemplars.get_or_insert_with(|| facts.exemplar_traces().into_iter().collect());
            self.state = State::Packed(Packed::of(facts));
        }
    }

    /// The facts as bytes.
    pub(super) fn packed(&self) -> Packed {
        match &self.state {
            State::Open(facts) => Packed::of(facts),
            State::Packed(packed) => packed.clone(),
        }
    }

    /// How many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        let facts = match &self.state {
            State::Open(facts) => facts_bytes(facts),
            State::Packed(packed) => packed.bytes(),
        };
        facts + self.exemplars.as_ref().map_or(0, |traces| size_of_val::<[_]>(traces))
    }

    /// How many bytes packed facts take; 0 while they are not.
    pub(super) fn packed_bytes(&self) -> usize {
        if let State::Packed(packed) = &self.state { packed.bytes() } else { 0 }
    }

    /// The traces that the facts cite.
    pub(super) fn exemplars(&mut self) -> &[TraceId] {
        let state = &self.state;
        self.exemplars.get_or_insert_with(|| match state {
            State::Open(facts) => facts.exemplar_traces().into_iter().collect(),
            State::Packed(packed) => packed.unpack().exemplar_traces().into_iter().collect(),
        })
    }

    /// Forgets which traces the facts cite, as nothing keeps them any more.
    pub(super) fn forget_exemplars(&mut self) {
        self.exemplars = None;
    }
}
