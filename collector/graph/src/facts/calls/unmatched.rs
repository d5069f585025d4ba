//! Calls without a span of their callee, by those to the same peer that have one. Only one trace is looked at: what others
//! tell of a peer is for `resolve`.

use super::Made;
use crate::span::NodeKey;

/// A callee that sent spans for some of the calls to one peer is the callee of the others, too: half of its spans may
/// be lost.
pub(super) fn name_unmatched(made: &mut [Made<'_>]) {
    let peer = |call: &Made<'_>| match call.call().and_then(|call| call.peer) {
        Some(peer @ NodeKey::Peer(_)) => Some((call.caller, peer)),
        _ => None,
    };
    let is_unmatched = |call: &Made<'_>| matches!(call.callee, NodeKey::Peer(_));
    if !made.iter().any(is_unmatched) {
        return;
    }
    let matched = made.iter().filter(|call| !is_unmatched(call) && call.callee_request.is_some());
    let mut known: Vec<_> = matched
        .filter_map(|call| {
            peer(call).map(|key| (key, call.call().map(|call| call.template), call.callee, call.template))
        })
        .collect();
    known.sort_unstable();
    known.dedup();
    for call in made.iter_mut().filter(|call| is_unmatched(call)) {
        let Some(key) = peer(call) else { continue };
        let from = known.partition_point(|entry| entry.0 < key);
        let same: Vec<_> = known[from..].iter().take_while(|entry| entry.0 == key).collect();
        if let Some(first) = same.first().filter(|first| same.iter().all(|entry| entry.2 == first.2)) {
            call.callee = first.2;
            let mut alike = same.iter().filter(|entry| entry.1 == Some(call.template));
            if let (Some(only), None) = (alike.next(), alike.next()) {
                call.template = only.3;
            }
        }
    }
}
