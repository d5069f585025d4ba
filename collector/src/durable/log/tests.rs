//! The log on a disk that forgets, tears, fills up and fails. Every seed is a story that can be told again:
//! `SPANLINT_SEEDS=10000` tells more of them, `SPANLINT_SEED=7` only one.

use std::collections::BTreeSet;

use super::*;
use crate::durable::disk::Files as _;
use crate::durable::simulated::{Fault, Random, SimulatedDisk};

const CONTENTS: [Content; 2] = [Content::TracesProtobuf, Content::TracesJson];
const SECOND_NS: u64 = 1_000_000_000;

/// What is read back: time, content and bytes of each request, in order.
type Requests = Vec<(u64, Content, Vec<u8>)>;

/// Small segments, nothing dropped.
fn keep_all() -> Retention {
    Retention { bytes: 1 << 19, age: Duration::from_hours(10_000) }
}

fn recover(disk: &SimulatedDisk, now_ns: u64) -> Result<(Log<SimulatedDisk>, Recovery, Requests), LogError> {
    recover_with(disk, keep_all(), now_ns)
}

fn recover_with(
    disk: &SimulatedDisk,
    retention: Retention,
    now_ns: u64,
) -> Result<(Log<SimulatedDisk>, Recovery, Requests), LogError> {
    let mut requests = Requests::new();
    let replay = |unix_ns, content, request: &[u8]| {
        requests.push((unix_ns, content, request.to_vec()));
        Some(Replayed { spans: 1, traces: vec![trace_of(request)] })
    };
    let (log, recovery) = Log::recover(disk.clone(), retention, now_ns, replay)?;
    Ok((log, recovery, requests))
}

fn write(log: &mut Log<SimulatedDisk>, requests: &[Vec<u8>], now_ns: u64) -> io::Result<()> {
    let traces: Vec<TraceId> = requests.iter().map(|request| trace_of(request)).collect();
    let requests = requests.iter().zip(&traces).map(|(bytes, trace)| Request {
        content: CONTENTS[bytes.len() % 2],
        bytes,
        traces: std::slice::from_ref(trace),
    });
    log.write(requests, now_ns)
}

/// Every fourth request is of one trace.
fn trace_of(request: &[u8]) -> TraceId {
    TraceId(request.iter().take(8).rev().fold(0, |id, byte| id << 8 | u128::from(*byte)) / 4)
}

/// The requests of a trace, as they are found in the log.
fn find(log: &Log<SimulatedDisk>, trace: TraceId) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let visit = |_, request: &[u8]| {
        if trace_of(request) == trace {
            found.push(request.to_vec());
        }
        true
    };
    log.finder().requests_of(trace, visit).unwrap();
    found
}

/// A request that no other is equal to, which hardly compresses.
fn request(id: u64, random: &mut Random) -> Vec<u8> {
    let mut request = id.to_le_bytes().to_vec();
    request.resize_with(8 + random.below(900) as usize, || random.below(256) as u8);
    request
}

/// One story: groups are written while things go wrong, and everything acknowledged is there after each restart.
struct Story {
    seed: u64,
    random: Random,
    disk: SimulatedDisk,
    written: Vec<Vec<u8>>,
    acknowledged: BTreeSet<u64>,
    now_ns: u64,
}

impl Story {
    fn tell(seed: u64) {
        let (random, disk) = (Random(seed), SimulatedDisk::new(!seed));
        let (written, acknowledged) = (Vec::new(), BTreeSet::new());
        let mut story = Self { seed, random, disk, written, acknowledged, now_ns: SECOND_NS };
        for _ in 0..6 {
            let log = story.restart();
            story.live(log);
        }
        story.restart();
    }

    /// Writes until the power is cut, or for a while.
    fn live(&mut self, mut log: Log<SimulatedDisk>) {
        for _ in 0..40 {
            self.disturb();
            self.now_ns += self.random.below(SECOND_NS);
            let first = self.written.len() as u64;
            let count = 1 + self.random.below(5);
            let group: Vec<Vec<u8>> = (first..first + count).map(|id| request(id, &mut self.random)).collect();
            self.written.extend(group.iter().cloned());
            if write(&mut log, &group, self.now_ns).is_ok() {
                self.acknowledged.extend(first..first + count);
            }
            if !self.disk.has_power() {
                return;
            }
        }
    }

    fn disturb(&mut self) {
        let calls = self.random.below(8);
        match self.random.below(30) {
            0 => self.disk.plan(calls, Fault::PowerCut),
            1..4 => self.disk.plan(calls, Fault::Error),
            4..7 => self.disk.set_capacity(self.disk.used_bytes() + self.random.below(2_000) as usize),
            7..12 => self.disk.set_capacity(usize::MAX),
            _ => {}
        }
    }

    /// Starts again, and checks what is there. The first starts may fail, the last one may not.
    fn restart(&mut self) -> Log<SimulatedDisk> {
        self.disk.restart();
        if self.random.one_in(2) {
            let fault = if self.random.one_in(2) { Fault::Error } else { Fault::PowerCut };
            self.disk.plan(self.random.below(12), fault);
            let tried = recover(&self.disk, self.now_ns);
            drop(tried);
            self.disk.restart();
        }
        let (log, _, requests) = recover(&self.disk, self.now_ns).expect("it always starts");
        let mut ids = BTreeSet::new();
        let mut last_ns = 0;
        for (unix_ns, content, request) in requests {
            let id = u64::from_le_bytes(*request.first_chunk().expect("a request has an id"));
            assert!(self.written[id as usize] == request, "seed {}: request {id} is not what was written", self.seed);
            assert!(ids.insert(id), "seed {}: request {id} comes twice", self.seed);
            assert_eq!(content, CONTENTS[request.len() % 2]);
            assert!((last_ns..=self.now_ns).contains(&unix_ns), "seed {}: request {id} has a wrong time", self.seed);
            last_ns = unix_ns;
        }
        let lost: Vec<&u64> = self.acknowledged.difference(&ids).collect();
        assert!(lost.is_empty(), "seed {}: lost {lost:?}", self.seed);
        self.find_some(&log, &ids);
        log
    }

    /// Looks for traces by their ids, with indexes that were damaged among them.
    fn find_some(&mut self, log: &Log<SimulatedDisk>, ids: &BTreeSet<u64>) {
        let indexes = self.disk.list().expect("the disk works");
        for index in indexes.iter().filter(|name| name.ends_with(INDEX_SUFFIX)) {
            match self.random.below(4) {
                0 => self.disk.damage(index, |bytes| bytes[30] ^= 1),
                1 => self.disk.damage(index, |bytes| bytes.truncate(20)),
                _ => {}
            }
        }
        for _ in 0..4 {
            let trace = TraceId(self.random.below(self.written.len() as u64 + 1).into());
            let of_trace = ids.iter().filter(|id| u128::from(**id) / 4 == trace.0);
            let expected: Vec<Vec<u8>> = of_trace.map(|id| self.written[*id as usize].clone()).collect();
            assert!(find(log, trace) == expected, "seed {}: trace {trace} is not what is kept", self.seed);
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seeds = match number("SPANLINT_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SPANLINT_SEEDS").unwrap_or(200),
    };
    seeds.for_each(Story::tell);
}

/// Three groups of two requests in one segment: its bytes, its groups, and where each group ends.
fn segment() -> (Vec<u8>, Vec<Vec<Vec<u8>>>, Vec<usize>) {
    let disk = SimulatedDisk::new(1);
    let (mut log, ..) = recover(&disk, 0).unwrap();
    let mut random = Random(1);
    let (mut groups, mut ends) = (Vec::new(), Vec::new());
    for number in 0..3 {
        let group: Vec<Vec<u8>> = (0..2).map(|id| request(number * 2 + id, &mut random)[..40].to_vec()).collect();
        write(&mut log, &group, number * SECOND_NS).unwrap();
        groups.push(group);
        ends.push(disk.used_bytes());
    }
    (disk.read(&name(1)).unwrap(), groups, ends)
}

fn bytes(requests: Requests) -> Vec<Vec<u8>> {
    requests.into_iter().map(|(_, _, request)| request).collect()
}

#[test]
fn a_log_cut_anywhere_has_all_groups_before_the_cut() {
    let (segment, groups, ends) = segment();
    for cut in 0..=segment.len() {
        let whole = ends.iter().filter(|end| **end <= cut).count();
        let disk = SimulatedDisk::with_file(&name(7), &segment[..cut]);
        let (mut log, recovery, requests) = recover(&disk, 0).unwrap();
        assert_eq!(bytes(requests), groups[..whole].concat(), "cut at {cut}");
        assert_eq!(recovery.damaged_places, 0);
        let kept = disk.read(&name(7)).unwrap_or_default().len();
        assert_eq!(kept, if whole == 0 { 0 } else { ends[whole - 1] }, "cut at {cut}");
        // What comes after is written and found again.
        write(&mut log, &[b"new".to_vec()], 0).unwrap();
        let (_, again, requests) = recover(&disk, 0).unwrap();
        assert_eq!((again.torn_bytes, requests.len()), (0, whole * 2 + 1), "cut at {cut}");
    }
}

#[test]
fn a_flipped_bit_costs_its_own_group_at_most() {
    let (segment, groups, ends) = segment();
    for position in 0..segment.len() {
        for bit in 0..8 {
            let mut flipped = segment.clone();
            flipped[position] ^= 1 << bit;
            let disk = SimulatedDisk::with_file(&name(7), &flipped);
            let (_, recovery, requests) = recover(&disk, 0).unwrap();
            let hit = ends.iter().position(|end| position < *end).expect("the last group ends the segment");
            let mut expected = groups.clone();
            if position >= SEGMENT_HEADER_BYTES {
                expected.remove(hit);
            }
            assert_eq!(bytes(requests), expected.concat(), "bit {bit} of byte {position}");
            let is_between = position >= SEGMENT_HEADER_BYTES && hit < 2;
            assert_eq!(recovery.damaged_places, u64::from(is_between), "bit {bit} of byte {position}");
            assert_eq!(recovery.torn_bytes > 0, hit == 2, "bit {bit} of byte {position}");
        }
    }
}

#[test]
fn foreign_files_are_left_alone() {
    let disk = SimulatedDisk::with_file("notes.txt", b"mine");
    let (mut log, recovery, requests) = recover(&disk, 0).unwrap();
    assert_eq!((recovery, requests.len()), (Recovery::default(), 0));
    write(&mut log, &[b"new".to_vec()], 0).unwrap();
    recover(&disk, 0).unwrap();
    assert_eq!(disk.read("notes.txt").unwrap(), b"mine");
}

#[test]
fn a_log_of_a_later_version_is_not_touched() {
    let (mut segment, ..) = segment();
    segment[8] = 2;
    let checksum = xxhash_rust::xxh3::xxh3_64(&segment[..12]);
    segment[12..SEGMENT_HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
    let disk = SimulatedDisk::with_file(&name(7), &segment);
    let error = recover(&disk, 0).err().unwrap().to_string();
    assert!(error.contains(&name(7)) && error.contains("version 2"), "{error}");
    assert_eq!(disk.read(&name(7)).unwrap(), segment);
}

#[test]
fn the_oldest_go_when_the_log_is_too_large() {
    let disk = SimulatedDisk::new(1);
    let retention = Retention { bytes: 16_000, ..keep_all() };
    let (mut log, ..) = recover_with(&disk, retention, 0).unwrap();
    let mut random = Random(1);
    let written: Vec<Vec<u8>> = (0..100).map(|id| request(id, &mut random)).collect();
    for (number, request) in written.iter().enumerate() {
        write(&mut log, std::slice::from_ref(request), number as u64).unwrap();
        log.retain(number as u64).unwrap();
        assert!(disk.used_bytes() <= 16_000);
    }
    assert!(disk.used_bytes() > 12_000);
    drop(log);
    let (_, _, requests) = recover_with(&disk, retention, 100).unwrap();
    let kept = bytes(requests);
    assert_eq!(kept, written[100 - kept.len()..]);
}

#[test]
fn what_is_too_old_goes_even_when_nothing_arrives() {
    let disk = SimulatedDisk::new(1);
    let retention = Retention { age: Duration::from_secs(80), ..keep_all() };
    let (mut log, ..) = recover_with(&disk, retention, 0).unwrap();
    write(&mut log, &[b"first".to_vec()], 0).unwrap();
    write(&mut log, &[b"second".to_vec()], 10 * SECOND_NS).unwrap();
    log.retain(11 * SECOND_NS).unwrap();
    write(&mut log, &[b"third".to_vec()], 70 * SECOND_NS).unwrap();
    log.retain(90 * SECOND_NS).unwrap();
    let (_, _, requests) = recover_with(&disk, retention, 90 * SECOND_NS).unwrap();
    assert_eq!(bytes(requests), [&b"second"[..], b"third"], "what is too old is not shown");
    log.retain(91 * SECOND_NS).unwrap();
    let (_, _, requests) = recover_with(&disk, keep_all(), 91 * SECOND_NS).unwrap();
    assert_eq!(bytes(requests), [b"third"]);
    log.retain(200 * SECOND_NS).unwrap();
    assert_eq!(disk.used_bytes(), 0);
}

#[test]
fn after_a_failed_sync_the_segment_is_left_alone() {
    let disk = SimulatedDisk::new(1);
    let (mut log, ..) = recover(&disk, 0).unwrap();
    write(&mut log, &[b"before".to_vec()], 0).unwrap();
    let before = disk.read(&name(1)).unwrap();
    disk.plan(1, Fault::Error);
    write(&mut log, &[b"refused".to_vec()], 0).unwrap_err();
    write(&mut log, &[b"after".to_vec()], 0).unwrap();
    assert_eq!(disk.read(&name(1)).unwrap(), before);
    disk.restart();
    let (_, _, requests) = recover(&disk, 0).unwrap();
    let found = bytes(requests);
    assert!(found.starts_with(&[b"before".to_vec()]) && found.ends_with(&[b"after".to_vec()]), "{found:?}");
}

#[test]
fn a_full_disk_is_used_again_once_there_is_room() {
    let disk = SimulatedDisk::new(1);
    let (mut log, ..) = recover(&disk, 0).unwrap();
    let mut random = Random(1);
    write(&mut log, &[request(0, &mut random)], 0).unwrap();
    let full = disk.used_bytes();
    // The index of the segment that is closed has no room either.
    disk.set_capacity(full + 50);
    for id in 1..10 {
        let mut large = request(id, &mut random);
        large.resize_with(1_000, || random.below(256) as u8);
        write(&mut log, &[large], 0).unwrap_err();
        assert_eq!(disk.used_bytes(), full, "what was not acknowledged takes no room");
    }
    disk.set_capacity(usize::MAX);
    write(&mut log, &[request(10, &mut random)], 0).unwrap();
    assert_eq!(recover(&disk, 0).unwrap().2.len(), 2);
}

#[test]
fn a_trace_is_found_in_what_is_written_and_in_what_is_closed() {
    let disk = SimulatedDisk::new(1);
    let retention = Retention { bytes: 16_000, ..keep_all() };
    let (mut log, ..) = recover_with(&disk, retention, 0).unwrap();
    let mut random = Random(1);
    let written: Vec<Vec<u8>> = (0..20).map(|id| request(id, &mut random)).collect();
    for (number, group) in written.chunks(2).enumerate() {
        write(&mut log, group, number as u64).unwrap();
        for trace in 0..=number / 2 {
            let known = &written[trace * 4..(trace * 4 + 4).min(number * 2 + 2)];
            assert_eq!(find(&log, TraceId(trace as u128)), known, "trace {trace} after group {number}");
        }
    }
    assert!(disk.list().unwrap().iter().any(|name| name.ends_with(INDEX_SUFFIX)));
    assert!(find(&log, TraceId(77)).is_empty());
}

#[test]
fn an_index_goes_with_its_segment_and_is_made_again_when_it_is_missing() {
    let disk = SimulatedDisk::new(1);
    let (mut log, ..) = recover(&disk, 0).unwrap();
    write(&mut log, &[request(1, &mut Random(1))], 0).unwrap();
    drop(log);
    drop(recover(&disk, 0).unwrap());
    let index = disk.read(&index_name(1)).unwrap();
    disk.damage(&index_name(1), |bytes| bytes.truncate(9));
    drop(recover(&disk, 0).unwrap());
    assert_eq!(disk.read(&index_name(1)).unwrap(), index);
    let mut disk = disk;
    disk.remove(&name(1)).unwrap();
    drop(recover(&disk, 0).unwrap());
    assert_eq!(disk.list().unwrap(), Vec::<String>::new());
}

#[test]
fn a_segment_that_is_dropped_meanwhile_is_passed_over() {
    let disk = SimulatedDisk::new(1);
    let (mut log, ..) = recover(&disk, 0).unwrap();
    write(&mut log, &[request(1, &mut Random(1))], 0).unwrap();
    let finder = log.finder();
    disk.clone().remove(&name(1)).unwrap();
    finder.requests_of(TraceId(0), |_, _| true).unwrap();
}

#[test]
fn cited_traces_outlive_their_segments_as_long_as_they_are_cited() {
    let disk = SimulatedDisk::new(1);
    let retention = Retention { bytes: 16_000, ..keep_all() };
    let (mut log, ..) = recover_with(&disk, retention, 0).unwrap();
    let wanted = Arc::new(Mutex::new(BTreeSet::from([TraceId(0)])));
    let cited = Arc::clone(&wanted);
    log.cited().told_by(move || cited.lock().unwrap().clone());
    let mut random = Random(1);
    let written: Vec<Vec<u8>> = (0..300).map(|id| request(id, &mut random)).collect();
    let write_some = |log: &mut Log<SimulatedDisk>, range: std::ops::Range<usize>| {
        for number in range {
            write(log, &written[number..=number], number as u64).unwrap();
            log.retain(number as u64).unwrap();
            assert!(disk.used_bytes() <= 16_000 + 2_000, "{}", disk.used_bytes());
        }
    };
    write_some(&mut log, 0..100);
    assert_eq!(sorted(find(&log, TraceId(0))), sorted(written[..4].to_vec()));
    assert!(find(&log, TraceId(1)).is_empty(), "nobody cites it");
    drop(log);
    let (mut log, _, replayed) = recover_with(&disk, retention, 100).unwrap();
    assert!(!bytes(replayed).contains(&written[0]), "it is no part of what happened last");
    assert_eq!(sorted(find(&log, TraceId(0))), sorted(written[..4].to_vec()));
    let cited = Arc::clone(&wanted);
    log.cited().told_by(move || cited.lock().unwrap().clone());
    write_some(&mut log, 100..200);
    assert_eq!(find(&log, TraceId(0)).len(), 4);
    wanted.lock().unwrap().clear();
    write_some(&mut log, 200..300);
    assert!(find(&log, TraceId(0)).is_empty());
    assert!(!disk.list().unwrap().iter().any(|name| name.ends_with(PINNED_SUFFIX)));
}

fn sorted(mut requests: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    requests.sort();
    requests
}
