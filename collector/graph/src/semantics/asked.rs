//! What a span asks for, whom and by what, as far as that differs from call to call.

use std::borrow::Cow;

use xxhash_rust::xxh3::xxh3_64;

use super::attributes::{Field, Known};
use super::database::is_loopback;
use super::{marks, url};
use crate::text::scrub;

/// What a span asks for, whom and by what.
#[derive(Debug, Default)]
pub(super) struct Asked<'a> {
    pub(super) url: AskedUrl<'a>,
    pub(super) parties: Parties,
}

/// What it asks for.
#[derive(Debug, Default)]
pub(super) struct AskedUrl<'a> {
    /// The path of the request, scrubbed; empty where no attribute has one.
    pub(super) full_path: Cow<'a, str>,
    /// The query of the request, as sent; empty where no attribute has one.
    pub(super) query: &'a str,
    /// What meaning is made of.
    pub(super) meant: MeantUrl<'a>,
}

/// What of a URL is the same in all spans of one key.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct MeantUrl<'a> {
    /// Scheme, host and port.
    pub(super) origin: Cow<'a, str>,
    /// The path with identifiers replaced; empty where there is none, or where something else tells what is called.
    pub(super) path: Cow<'a, str>,
    /// Whether the path is that of health checks.
    pub(super) is_probe_path: bool,
    /// Whether the path is one of streams, or the query asks to wait.
    pub(super) is_stream_path: bool,
}

/// Who asks and who answers, the same in all spans of one key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Parties {
    /// Whether the user agent is that of health checks.
    pub(super) is_probe: bool,
    /// Whether the user agent is that of a scheduler.
    pub(super) is_by_clock: bool,
    /// Whether the address that the call led to is on the same host.
    pub(super) is_peer_loopback: bool,
}

/// Fields of which a URL is made up.
const OF_URL: [Field; 3] = [Field::Url, Field::UrlPath, Field::UrlQuery];

/// Fields that [`Asked`] is read from.
pub(super) const ASKED: [Field; 5] =
    [Field::Url, Field::UrlPath, Field::UrlQuery, Field::UserAgent, Field::PeerAddress];

impl<'a> Asked<'a> {
    pub(super) fn of(known: Known<'a>) -> Self {
        Self { url: AskedUrl::of(known), parties: Parties::of(known) }
    }

    /// Whether path or user agent are those of health checks.
    pub(super) fn is_probe(&self) -> bool {
        self.parties.is_probe || self.url.meant.is_probe_path
    }
}

impl<'a> AskedUrl<'a> {
    pub(super) fn of(known: Known<'a>) -> Self {
        let is_named =
            [Field::HttpRoute, Field::UrlTemplate, Field::RpcMethod].into_iter().any(|field| known.has(field));
        let (_, path, path_query) = url::origin_and_target(known.text(Field::UrlPath));
        let (origin, url_path, url_query) = url::origin_and_target(known.text(Field::Url));
        let full_path = scrub(if path.is_empty() { url_path } else { path });
        let query = [known.text(Field::UrlQuery), url_query, path_query].into_iter().find(|query| !query.is_empty());
        Self {
            query: query.unwrap_or_default(),
            meant: MeantUrl {
                origin: Cow::Borrowed(origin),
                path: if is_named { Cow::Borrowed("") } else { url::template_of_path(full_path.clone()) },
                is_probe_path: marks::is_probe_path(&full_path),
                is_stream_path: marks::is_stream_path(&full_path) || query.is_some_and(marks::is_waiting_query),
            },
            full_path,
        }
    }

    /// A hash of the texts that it would be made of.
    pub(super) fn hash_of(known: &Known<'_>) -> u64 {
        OF_URL.into_iter().fold(0, |hash: u64, field| match known.text(field) {
            "" => hash,
            text => hash.rotate_left(23) ^ xxh3_64(text.as_bytes()),
        })
    }
}

impl MeantUrl<'_> {
    /// The same for longer.
    pub(super) fn to_owned(&self) -> MeantUrl<'static> {
        let Self { origin, path, is_probe_path, is_stream_path } = self;
        MeantUrl {
            origin: origin.to_string().into(),
            path: path.to_string().into(),
            is_probe_path: *is_probe_path,
            is_stream_path: *is_stream_path,
        }
    }

    /// How many bytes its texts take.
    pub(super) fn text_bytes(&self) -> usize {
        self.origin.len() + self.path.len()
    }
}

impl Parties {
    pub(super) fn of(known: Known<'_>) -> Self {
        let agent = known.text(Field::UserAgent);
        Self {
            is_probe: marks::is_probe_agent(agent),
            is_by_clock: marks::is_clock_agent(agent),
            is_peer_loopback: known.has(Field::PeerAddress) && is_loopback(known.text(Field::PeerAddress)),
        }
    }
}
