//! What a span shows besides its call: flags, credentials that were masked, where in the code it was made.

use serde::{Deserialize, Serialize};

use crate::name::Name;

/// Flags of one span.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Marks(u16);

impl Marks {
    /// A stream, server-sent events, a web socket or a long poll: how long it lasts says nothing.
    pub const STREAM: Self = Self(1);
    /// The request shows who is asking: a user id, a token, a session.
    pub const IDENTITY: Self = Self(1 << 1);
    /// Sent by a proxy that stands before a service (a service mesh's sidecar), not by the service itself.
    pub const PROXY: Self = Self(1 << 2);
    /// Sent by a browser, a phone or a desktop: the outside world.
    pub const DEVICE: Self = Self(1 << 3);
    /// Kept by a sampler that drops others: its `tracestate` has a threshold (`ot=th:…`) other than 0.
    pub const SAMPLED: Self = Self(1 << 4);
    /// The client's address is public: not loopback, private, link-local or shared.
    pub const PUBLIC_CLIENT: Self = Self(1 << 5);
    /// The query sets up, migrates or locks; it is no repetition of anything.
    pub const SET_UP: Self = Self(1 << 6);
    /// The call asks for one page of an answer: others like it ask for other pages.
    pub const PAGE: Self = Self(1 << 7);
    /// The answer only names another place to ask.
    pub const REDIRECT: Self = Self(1 << 8);
    /// Sent by a proxy at the edge of the system, which stands before no single service and is one by itself.
    pub const EDGE_PROXY: Self = Self(1 << 9);
    /// Sent by a function that a platform runs, and stands before.
    pub const FUNCTION: Self = Self(1 << 10);
    /// The client's address is of a private network, its own host left aside.
    pub const PRIVATE_CLIENT: Self = Self(1 << 11);
    /// A host of a private network passed the request on for its client.
    pub const FORWARDED: Self = Self(1 << 12);
    /// A header of the request tells which version of the interface is asked for.
    pub const VERSIONED: Self = Self(1 << 13);
    /// The call names its host by an address, or as the own one, where others would name it.
    pub const ADDRESSED: Self = Self(1 << 14);
    /// Sent by what is surely the sidecar of one service, whatever it is called and wherever it says it runs.
    pub const SIDECAR: Self = Self(1 << 15);

    /// Whether a proxy or sidecar sent it, and not the application.
    pub(crate) fn is_of_proxy(self) -> bool {
        self.has(Self::PROXY) || self.has(Self::SIDECAR)
    }

    /// Whether all flags of `other` are set.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Sets the flags of `other` where `holds`.
    pub fn set(&mut self, other: Self, holds: bool) {
        if holds {
            self.0 |= other.0;
        }
    }

    /// Takes the flags of `other` away.
    pub fn clear(&mut self, other: Self) {
        self.0 &= !other.0;
    }
}

/// What kind of confidential value an attribute held before it was masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum SecretKind {
    /// A token, key, password or other credential.
    Credential = 0,
    /// The number of a payment card.
    CardNumber = 1,
    /// An e-mail address.
    EmailAddress = 2,
}

impl SecretKind {
    /// What people call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::CardNumber => "card number",
            Self::EmailAddress => "e-mail address",
        }
    }
}

/// An attribute whose value was confidential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Secret {
    /// What it was.
    pub kind: SecretKind,
    /// The attribute's key; empty for the name of the span.
    pub key: Name,
}

/// Where in the code a span was made, from `code.*`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Location {
    /// `code.file.path`, empty where not recorded.
    pub file: Name,
    /// `code.function.name`, empty where not recorded.
    pub function: Name,
    /// `code.line.number`, 0 where not recorded.
    pub line: u32,
}

/// How a call travels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Transport {
    /// No attribute tells; that proves nothing.
    #[default]
    Unknown = 0,
    /// Readable on its way: `http:`, `ws:`, `amqp:`, or `tls.established = false`.
    Plain = 1,
    /// Encrypted.
    Encrypted = 2,
}
