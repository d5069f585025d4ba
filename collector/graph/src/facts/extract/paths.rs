//! Ways through several services: how deep they lead, where they come back, which failures travel on them, and what of
//! their time counts.

use super::Reading;
use crate::facts::{EdgeKey, EnvironmentFacts, FailureKey, LoopKey, MAX_PATH_LENGTH, MIN_TRACE_CALLS, MIN_WIDE};
use crate::span::ServiceKey;

impl EnvironmentFacts {
    /// Adds everything about ways.
    pub(super) fn add_paths(&mut self, reading: &Reading<'_>, below: &Below) {
        self.add_reach(reading, below);
        self.add_loops(reading);
        self.add_failures(reading, below);
        self.add_critical_path(reading, below);
    }

    /// How far each request without a caller reaches, and how deep each synchronous way leads.
    fn add_reach(&mut self, reading: &Reading<'_>, below: &Below) {
        let requests = &reading.calls.requests;
        let is_start = |index: &usize| requests[*index].caller.is_none() || !requests[*index].is_synchronous;
        for start in (0..requests.len()).filter(is_start).filter(|&index| requests[index].counts()) {
            let facts = self.operations.entry(reading.operation(start));
            facts.depth.record(below.depth[start]);
            facts.deepest.offer(below.depth[start], reading.trace);
            if requests[start].caller.is_none() {
                facts.services_touched.record(below.services(start) as u64);
                facts.trace_calls.record(below.remote_calls[start]);
                if below.remote_calls[start] >= MIN_TRACE_CALLS {
                    facts.spread.offer(below.remote_calls[start], reading.trace);
                }
            }
        }
    }

    /// Loops: requests whose service is already on the synchronous path that leads to them.
    fn add_loops(&mut self, reading: &Reading<'_>) {
        let mut walked: Vec<(LoopKey, u64)> = Vec::new();
        let mut revisiting = Vec::new();
        for (index, request) in reading.calls.requests.iter().enumerate() {
            if request.is_probe || request.is_outside || request.caller.is_none() {
                continue;
            }
            let own = reading.opening(index).shape.service;
            let mut above = reading.calls.synchronous_path(index).map(|at| reading.opening(at).shape.service);
            // Mostly nobody comes back.
            if !above.by_ref().any(|service| service != own) || !above.any(|service| service == own) {
                continue;
            }
            let mut path: Vec<ServiceKey> = vec![own];
            path.extend(reading.calls.synchronous_path(index).map(|at| reading.opening(at).shape.service));
            path.dedup();
            let Some(length) = path[1..].iter().position(|&service| service == own).map(|place| place + 1) else {
                continue;
            };
            revisiting.resize(reading.calls.requests.len(), false);
            revisiting[index] = reading.opening(request.caller.expect("checked above")).shape.service != own;
            if let Some(key) = loop_key(&path[..length]) {
                walked.push((key, turns(&path)));
            } else {
                let beyond = self.loops.beyond();
                beyond.walks += 1;
                beyond.exemplars.offer(1, reading.trace);
            }
        }
        walked.sort_unstable();
        for group in walked.chunk_by(|left, right| left.0 == right.0) {
            let facts = self.loops.entry(group[0].0);
            let most = group.iter().map(|(_, turns)| *turns).max().unwrap_or(1);
            facts.walks += group.len() as u64;
            facts.traces += 1;
            facts.turns.record(most);
            facts.exemplars.offer(most, reading.trace);
        }
        for call in &reading.calls.made {
            if call.callee_request.and_then(|opened| revisiting.get(opened)) == Some(&true) {
                self.edges.entry(EdgeKey { caller: call.caller, callee: call.callee, kind: call.kind }).revisits += 1;
            }
        }
    }

    /// Failures: requests that failed although none of their own calls to services did, with their way to the outside.
    fn add_failures(&mut self, reading: &Reading<'_>, below: &Below) {
        let requests = &reading.calls.requests;
        let has_failed = |at: usize| reading.opening(at).shape.outcome.is_failure();
        if !(0..requests.len()).any(has_failed) {
            return;
        }
        let mut is_passed_on = vec![false; requests.len()];
        for (index, request) in requests.iter().enumerate().filter(|(index, _)| has_failed(*index)) {
            if let Some(caller) = request.caller.filter(|_| request.is_synchronous && !requests[index].is_probe) {
                is_passed_on[caller] = true;
            }
        }
        let mut travelled: Vec<(usize, [ServiceKey; MAX_PATH_LENGTH])> = Vec::new();
        let begins = |index: &usize| has_failed(*index) && !is_passed_on[*index] && !requests[*index].is_probe;
        for index in (0..requests.len()).filter(begins) {
            let mut path = vec![reading.opening(index).shape.service];
            let mut entry = index;
            for at in reading.calls.synchronous_path(index) {
                path.push(reading.opening(at).shape.service);
                entry = at;
            }
            path.dedup();
            if below.root[index] != entry || path.len() < 2 || !requests[entry].counts() {
                continue;
            }
            match whole(&path) {
                Some(services) => travelled.push((entry, services)),
                None => self.failures.beyond().failed += 1,
            }
        }
        travelled.sort_unstable();
        travelled.dedup();
        for (entry, services) in travelled {
            let facts = self.failures.entry(FailureKey { entry: reading.operation(entry), services });
            facts.failed += 1;
            if has_failed(entry) {
                facts.entry_failed += 1;
                facts.exemplars.offer(reading.opening(entry).duration_ns(), reading.trace);
            }
        }
    }

    /// The critical path of each request without a caller: from its end backwards, always into the call that ended
    /// last.
    fn add_critical_path(&mut self, reading: &Reading<'_>, below: &Below) {
        let mut open = Vec::new();
        for root in below.roots(reading) {
            open.push((root, reading.opening(root).end_ns));
            while let Some((at, until_ns)) = open.pop() {
                let span = reading.opening(at);
                let mut cursor_ns = until_ns.min(span.end_ns);
                let mut own_ns = 0;
                for &child in below.children(at) {
                    let called = reading.opening(child);
                    if called.end_ns <= cursor_ns && called.start_ns >= span.start_ns {
                        own_ns += cursor_ns - called.end_ns;
                        open.push((child, called.end_ns));
                        cursor_ns = called.start_ns;
                    }
                }
                own_ns += cursor_ns.saturating_sub(span.start_ns);
                self.services.entry(span.shape.service).critical_ns += u128::from(own_ns);
                self.counts.critical_ns += u128::from(own_ns);
            }
        }
    }
}

/// What lies below each request.
#[derive(Debug, Default)]
pub(super) struct Below {
    /// The request without a caller that caused it.
    root: Vec<usize>,
    /// Where a synchronous way starts: the services on the longest, less the first, each once.
    depth: Vec<u64>,
    /// Calls to services and external hosts of it and all that it caused, but for those of which each makes many itself.
    remote_calls: Vec<u64>,
    /// (root, service) of every request, sorted, once each.
    groups: Vec<(usize, ServiceKey)>,
    /// Requests that are waited for, by caller, the last to end first.
    waited_for: Vec<(usize, usize)>,
    /// The services on the way to one request.
    way: Vec<ServiceKey>,
}

impl Below {
    /// Becomes what lies below the requests of a trace, in the memory that it has. `remote_calls` are those that each
    /// request makes itself.
    pub(super) fn read(&mut self, reading: &Reading<'_>, remote_calls: &[u64]) {
        let requests = &reading.calls.requests;
        let Self { root, depth, remote_calls: all_calls, groups, waited_for, way: path } = self;
        root.clear();
        root.extend(0..requests.len());
        depth.clear();
        depth.resize(requests.len(), 0);
        all_calls.clear();
        all_calls.extend(remote_calls.iter().map(|&calls| if calls >= MIN_WIDE { 0 } else { calls }));
        groups.clear();
        waited_for.clear();
        // Callers stand before those that they call.
        for (index, request) in requests.iter().enumerate() {
            root[index] = request.caller.map_or(index, |caller| root[caller]);
            if !request.is_probe && !request.is_outside {
                groups.push((root[index], reading.opening(index).shape.service));
                let (start, hops) = way(reading, index, path);
                depth[start] = depth[start].max(hops);
            }
        }
        for (index, request) in requests.iter().enumerate().rev() {
            let Some(caller) = request.caller else { continue };
            all_calls[caller] += all_calls[index];
            if request.is_synchronous && !request.is_probe {
                waited_for.push((caller, index));
            }
        }
        groups.sort_unstable();
        groups.dedup();
        let end_ns = |request: usize| reading.opening(request).end_ns;
        waited_for.sort_by_key(|&(caller, index)| (caller, std::cmp::Reverse(end_ns(index)), index));
    }

    /// The requests without a caller that count.
    fn roots<'a>(&'a self, reading: &'a Reading<'_>) -> impl Iterator<Item = usize> + 'a {
        let numbered = reading.calls.requests.iter().enumerate();
        let counts = numbered.filter(|(index, request)| self.root[*index] == *index && request.counts());
        counts.map(|(index, _)| index)
    }

    /// How many services a request without a caller and all that it caused touched.
    fn services(&self, root: usize) -> usize {
        self.groups.partition_point(|(at, _)| *at <= root) - self.groups.partition_point(|(at, _)| *at < root)
    }

    fn children(&self, request: usize) -> impl Iterator<Item = &usize> {
        let from = self.waited_for.partition_point(|(caller, _)| *caller < request);
        self.waited_for[from..].iter().take_while(move |(caller, _)| *caller == request).map(|(_, child)| child)
    }
}

/// Where the synchronous way to a request starts, and how many services are on it, less the first, each once. `services`
/// is used again for each.
fn way(reading: &Reading<'_>, request: usize, services: &mut Vec<ServiceKey>) -> (usize, u64) {
    services.clear();
    services.push(reading.opening(request).shape.service);
    let mut start = request;
    for at in reading.calls.synchronous_path(request) {
        services.push(reading.opening(at).shape.service);
        start = at;
    }
    services.sort_unstable();
    services.dedup();
    (start, services.len() as u64 - 1)
}

/// How often a path, given from its end, alternates between its last two services: A B A B A is two turns.
fn turns(path: &[ServiceKey]) -> u64 {
    let alternating = path.iter().enumerate().take_while(|(place, service)| **service == path[place % 2]).count();
    ((alternating - 1) / 2).max(1) as u64
}

/// The key of the loop that a path closes, given from its end to before its start; none for loops longer than a key
/// holds.
fn loop_key(path: &[ServiceKey]) -> Option<LoopKey> {
    let mut path = path.to_vec();
    path.reverse();
    let smallest = (0..path.len()).min_by_key(|&place| path[place])?;
    path.rotate_left(smallest);
    whole(&path).map(|services| LoopKey { services })
}

/// The services of a path in the places of a key; none where it is longer.
fn whole(path: &[ServiceKey]) -> Option<[ServiceKey; MAX_PATH_LENGTH]> {
    let mut services = [ServiceKey::default(); MAX_PATH_LENGTH];
    services.get_mut(..path.len())?.copy_from_slice(path);
    Some(services)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;

    fn path(text: &str) -> Vec<ServiceKey> {
        let service = |letter: char| ServiceKey { namespace: Name::EMPTY, name: Name(letter as u64) };
        text.chars().map(service).collect()
    }

    #[test]
    fn turns_count_how_often_two_services_call_back() {
        for (text, expected) in [("aba", 1), ("ababa", 2), ("abababa", 3), ("abca", 1), ("abac", 1)] {
            assert_eq!(turns(&path(text)), expected, "{text}");
        }
    }

    #[test]
    fn a_loop_has_one_key_wherever_it_is_entered() {
        assert_eq!(loop_key(&path("cba")), loop_key(&path("acb")));
        assert_ne!(loop_key(&path("cba")), loop_key(&path("abc")));
        assert_eq!(loop_key(&path("abcdefghi")), None);
    }
}
