//! Random healthy systems with faults planted on purpose and with what only looks like a fault beside them: every fault
//! has to be found, and nothing else. Written from the catalogue of rules, not from the rules' code.
//!
//! `SPANLINT_SEEDS=200 cargo test --release --test main generator` is the long mode, which also plants every fault under
//! every seed (`100..200` are the later half of them); it takes 20 minutes of CPU, says how far it is, and can go on from
//! there. `SPANLINT_RULE=name` plants the faults of one rule only, each system's recording is kept with
//! `SPANLINT_KEEP=folder`, with its configuration.

mod dialect;
mod emit;
pub(crate) mod judged;
mod land;
mod mesh;
mod model;
mod plants;
mod random;
mod simulate;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::num::NonZero;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;

use dialect::{Kinds, Language};
use emit::{Generation, Place, Style};
use judged::{Judged, Said, judge, judge_files};
use land::Land;
use model::Source;
use plants::{PLANTS, Plan, Plant, Planted};
use random::Random;

use crate::binary::{Sandbox, findings};

/// Systems of each kind in a plain run of the tests.
const SEEDS: u64 = 20;
/// At most so many faults stand in one system.
const MAX_FAULTS: usize = 6;

/// One in so many faults stands in a system of a plain run, another part of them for each seed; all in the long mode.
const TURNS: u64 = 5;

fn wanted_seeds() -> Option<Range<u64>> {
    let text = std::env::var("SPANLINT_SEEDS").ok()?;
    let (first, end) = text.split_once("..").unwrap_or(("0", &text));
    Some(first.parse().ok()?..end.parse().ok()?)
}

fn seeds() -> Range<u64> {
    wanted_seeds().unwrap_or(0..SEEDS)
}

/// Of the faults, those whose turn it is.
fn in_turn(plants: &[&'static Plant], seed: u64) -> Vec<&'static Plant> {
    let turns = if wanted_seeds().is_some() { 1 } else { TURNS };
    let numbered = (0..).zip(plants);
    numbered.filter(|(number, _)| (number + seed).is_multiple_of(turns)).map(|(_, plant)| *plant).collect()
}

/// The faults that were asked for.
fn plants() -> Vec<&'static Plant> {
    let wanted = std::env::var("SPANLINT_RULE").ok();
    PLANTS.iter().filter(|plant| wanted.as_deref().is_none_or(|wanted| plant.rule == wanted)).collect()
}

/// The test runner shows what a failing test prints; this shows what a passing one says.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Rules that need more of a resource than the name of its service.
const NEED_RESOURCES: [&str; 6] = [
    "lockstep-deployment",
    "missing-owner",
    "pool-saturation",
    "single-point-of-failure",
    "unnamed-service",
    "wrong-cut",
];

/// How the services of a system are instrumented: half of the fleets speak one tongue throughout, the others many.
fn style(seed: u64, rules: &[&str]) -> Style {
    let mut random = Random::new(seed ^ 0x57);
    let (dropped, is_skewed) = (random.pick(&[0.0, 0.01]), random.chance(0.7));
    let generation = random.pick(&[Generation::Current, Generation::Old, Generation::Both]);
    let generations = if random.chance(0.3) {
        vec![Generation::Old, Generation::Current, Generation::Both, Generation::Current]
    } else {
        vec![generation]
    };
    let mut languages = Language::ALL.to_vec();
    random.shuffle(&mut languages);
    if random.chance(0.5) {
        languages.truncate(1);
    }
    let place = random.pick(&[Place::Hosts, Place::Kubernetes, Place::Bare]);
    let place = if rules.iter().any(|rule| NEED_RESOURCES.contains(rule)) { Place::Hosts } else { place };
    Style { dropped, is_skewed, generations, languages, place, kinds: Kinds::All, is_tail_sampled: false }
}

/// A system with what was put into it.
struct Story {
    land: Land,
    seed: u64,
    planted: Vec<(&'static str, Planted)>,
    /// Look-alikes, with the rule that they look like a fault of.
    alikes: Vec<(&'static str, &'static str, Planted)>,
    /// Whose faults and look-alikes these are.
    rules: Vec<&'static str>,
    kinds: Kinds,
    load: Load,
}

/// How much happens in a system, and how much of it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Load {
    Usual,
    Low,
    High,
    /// Twice as much, of which a collector kept what was slow or failed, and half of the rest.
    Sampled,
}

impl Load {
    fn of(seed: u64) -> Self {
        Random::new(seed ^ 0x10ad).pick(&[Self::Usual, Self::Low, Self::High, Self::Sampled])
    }

    /// Whether so little is told that a rule may say that it is not enough.
    fn is_thin(self) -> bool {
        matches!(self, Self::Low | Self::Sampled)
    }

    fn requests(self, usual: u64) -> u64 {
        match self {
            Self::Usual => usual,
            Self::Low => usual / 4,
            Self::High => usual * 3,
            Self::Sampled => usual * 2,
        }
    }
}

impl Story {
    fn new(seed: u64, plants: &[&'static Plant], with_faults: bool) -> Self {
        let mut random = Random::new(seed ^ 0x517e);
        let least = plants.iter().map(|plant| plant.least_services).max().unwrap_or(6);
        let size = least + random.below(4) + if random.chance(0.1) { 8 } else { 0 };
        let mut story = Self::empty(seed, plants.iter().map(|plant| plant.rule).collect());
        if !plants.iter().any(|plant| plant.is_whole) {
            story.land.populate(size);
        }
        for plant in plants {
            if with_faults {
                story.planted.push((plant.rule, (plant.fault)(&mut story.land)));
            }
            for (name, alike) in plant.alikes {
                story.alikes.push((plant.rule, name, alike(&mut story.land)));
            }
        }
        story
    }

    fn empty(seed: u64, rules: Vec<&'static str>) -> Self {
        let (planted, alikes) = (Vec::new(), Vec::new());
        Self { land: Land::empty(seed), seed, planted, alikes, rules, kinds: Kinds::All, load: Load::Usual }
    }

    /// A system that looks like a fault as a whole.
    fn alike(seed: u64, rule: &'static str, (name, plan): (&'static str, Plan)) -> Self {
        let mut story = Self::empty(seed, vec![rule]);
        story.alikes.push((rule, name, plan(&mut story.land)));
        story
    }

    /// The same under another load.
    fn under(mut self, load: Load) -> Self {
        for entry in &mut self.land.system.entries {
            // What runs by itself and what clients do at one time are there under any load, but sampled like all else.
            let is_lighter = matches!(entry.source, Source::Client | Source::Lost) && entry.within.is_none();
            let is_load = match load {
                Load::Low => is_lighter,
                Load::High => matches!(entry.source, Source::Client | Source::Lost),
                Load::Usual | Load::Sampled => true,
            };
            entry.requests = if is_load { load.requests(entry.requests).max(1) } else { entry.requests };
        }
        Self { load, ..self }
    }

    fn recording(&self) -> String {
        let spans = simulate::simulate(&self.land.system, self.seed);
        let style = style(self.seed, &self.rules);
        // Where nobody tells of the calls it makes, only clocks tell a call from what a browser does later.
        let is_skewed = style.is_skewed && self.kinds != Kinds::Servers;
        // Without hosts nobody could tell before which service a sidecar stands.
        let has_hosts = style.place != Place::Bare || self.land.system.mesh.is_none();
        let place = if has_hosts { style.place } else { Place::Kubernetes };
        let is_tail_sampled = self.load == Load::Sampled;
        let style = Style { kinds: self.kinds, is_skewed, place, is_tail_sampled, ..style };
        let recording = emit::emit(&self.land.system, spans, &style, self.seed);
        if let Ok(folder) = std::env::var("SPANLINT_KEEP") {
            let rule = self.rules.first().unwrap_or(&"healthy");
            std::fs::create_dir_all(&folder).expect("the folder can be made");
            let name = format!("{folder}/{}-{rule}-{:?}-{:?}", self.seed, self.kinds, self.load);
            std::fs::write(format!("{name}.jsonl"), &recording).expect("recordings can be kept");
            std::fs::write(format!("{name}.toml"), self.land.config()).expect("configurations can be kept");
        }
        recording
    }

    /// Whether a fault was found, or not enough seen of it.
    fn is_answered(&self, judged: &Judged, rule: &str, planted: &Planted) -> bool {
        let is_open =
            |services: &[String]| services.is_empty() || planted.services.is_empty() || planted.touches(services);
        let is_undecided =
            || judged.undecided.iter().any(|(undecided, services, _)| undecided == rule && is_open(services));
        judged.findings.iter().any(|said| planted.is_said_by(rule, said)) || self.load.is_thin() && is_undecided()
    }

    /// What is wrong with a verdict.
    fn wrong(&self, judged: &Judged) -> Vec<String> {
        let mut wrong = Vec::new();
        for (rule, planted) in &self.planted {
            if !self.is_answered(judged, rule, planted) {
                let undecided = judged.undecided.iter().filter(|open| open.0 == *rule);
                let near = judged.findings.iter().filter(|said| said.rule == *rule || planted.touches(&said.services));
                wrong.push(format!(
                    "MISSED {rule} of {:?}; near: {:?}; undecided: {:?}",
                    planted.services,
                    near.collect::<Vec<_>>(),
                    undecided.collect::<Vec<_>>()
                ));
            }
        }
        for said in judged.findings.iter().filter(|said| said.is_loud) {
            let explained =
                self.planted.iter().any(|(rule, planted)| planted.is_said_by(rule, said) || planted.allows(said))
                    || self.alikes.iter().any(|(_, _, planted)| planted.allows(said));
            if !explained {
                let alike =
                    self.alikes.iter().filter(|(.., planted)| planted.touches(&said.services)).map(|each| each.1);
                wrong.push(format!("FALSE {said:?}; look-alikes there: {:?}", alike.collect::<Vec<_>>()));
            }
        }
        for said in judged.findings.iter().filter(|said| !said.is_loud) {
            let taken = self
                .alikes
                .iter()
                .find(|(rule, _, planted)| said.rule == *rule && planted.holds(said) && !planted.allows(said));
            if let Some((_, name, _)) = taken {
                wrong.push(format!("TAKEN for a fault, as a note: {name}: {said:?}"));
            }
        }
        wrong
    }
}

/// Packs the faults into as few systems as they fit in, in another order for each seed.
fn packed(plants: &[&'static Plant], seed: u64) -> Vec<Vec<&'static Plant>> {
    let (alone, mut shared): (Vec<_>, Vec<_>) = plants.iter().copied().partition(|plant| plant.is_alone());
    Random::new(seed ^ 0xacc).shuffle(&mut shared);
    let shared = shared.chunks(MAX_FAULTS).map(<[_]>::to_vec);
    alone.into_iter().map(|plant| vec![plant]).chain(shared).collect()
}

/// A system that is still to be built, and what it is shown as.
struct Case {
    seed: u64,
    kind: String,
    build: Box<dyn FnOnce() -> Story + Send>,
}

impl Case {
    fn new(seed: u64, kind: String, build: impl FnOnce() -> Story + Send + 'static) -> Self {
        Self { seed, kind, build: Box::new(build) }
    }
}

/// What was said of all seeds, by rule.
#[derive(Default)]
struct Tally {
    planted: BTreeMap<&'static str, (u64, u64)>,
    wrong: Vec<String>,
}

impl Tally {
    /// Judges the systems of all seeds, one on each core.
    fn of(cases: impl Iterator<Item = Case> + Send) -> Self {
        let (cases, tally) = (Mutex::new(cases), Mutex::new(Self::default()));
        let next = || cases.lock().expect("no thread panics here").next();
        thread::scope(|scope| {
            for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
                scope.spawn(|| {
                    while let Some(Case { seed, kind, build }) = next() {
                        let story = build();
                        let judged = judge(&story.recording(), &story.land.config());
                        tally.lock().expect("no thread panics here").take(
                            &story,
                            &judged,
                            &format!("seed {seed} {kind}"),
                        );
                    }
                });
            }
        });
        tally.into_inner().expect("no thread panics here")
    }

    fn take(&mut self, story: &Story, judged: &Judged, name: &str) {
        let rules: Vec<_> = story.planted.iter().map(|(rule, _)| *rule).collect();
        for (rule, planted) in &story.planted {
            let (fired, all) = self.planted.entry(rule).or_default();
            *fired += u64::from(story.is_answered(judged, rule, planted));
            *all += 1;
        }
        for text in story.wrong(judged) {
            let text = format!("{name} {rules:?}: {text}");
            // The long mode takes its time: what is wrong is told at once.
            say(&text);
            self.wrong.push(text);
        }
    }

    fn answer(mut self) {
        for (rule, (fired, all)) in &self.planted {
            say(&format!("{rule:28} {fired:4} of {all:4}"));
        }
        self.wrong.sort_unstable();
        assert!(self.wrong.is_empty(), "{} wrong verdicts\n{}", self.wrong.len(), self.wrong.join("\n"));
    }
}

/// The long mode tells how far it is: whoever stops it goes on with the seed before the one that it told of last.
fn tell(seed: u64) {
    if wanted_seeds().is_some() {
        say(&format!("seed {seed}"));
    }
}

fn with_faults(seed: u64, plants: &[&'static Plant]) -> impl Iterator<Item = Case> + use<> {
    tell(seed);
    let load = if seed % 4 == 3 { Load::of(seed) } else { Load::Usual };
    let build = move |chunk: Vec<&'static Plant>| {
        Case::new(seed, format!("faults, {load:?}"), move || Story::new(seed, &chunk, true).under(load))
    };
    packed(&in_turn(plants, seed), seed).into_iter().map(build)
}

fn without_faults(seed: u64, plants: &[&'static Plant]) -> impl Iterator<Item = Case> + use<> {
    tell(seed);
    let (load, plants) = (Load::of(seed), in_turn(plants, seed));
    let healthy = [Kinds::All, Kinds::Servers, Kinds::Clients, Kinds::None].into_iter().map(move |kinds| {
        let build = move || Story { kinds, ..Story::new(seed, &[], false) }.under(load);
        Case::new(seed, format!("healthy, {kinds:?}, {load:?}"), build)
    });
    let alikes = packed(&plants, seed).into_iter().map(move |chunk| {
        Case::new(seed, format!("look-alikes, {load:?}"), move || Story::new(seed, &chunk, false).under(load))
    });
    let systems = plants.into_iter().flat_map(move |plant| {
        let build = move |system: &'static (&'static str, Plan)| {
            Case::new(seed, format!("{} as a whole", system.0), move || Story::alike(seed, plant.rule, *system))
        };
        plant.systems.iter().map(build)
    });
    healthy.chain(alikes).chain(systems)
}

#[test]
fn planted_faults_are_found_and_look_alikes_are_not_taken_for_them() {
    let plants = plants();
    Tally::of(seeds().flat_map(|seed| with_faults(seed, &plants))).answer();
}

#[test]
fn healthy_systems_and_look_alikes_alone_are_silent() {
    let plants = plants();
    let seeds = 1_000 + seeds().start.div_ceil(4)..1_000 + seeds().end.div_ceil(4);
    Tally::of(seeds.flat_map(|seed| without_faults(seed, &plants))).answer();
}

#[test]
fn the_binary_says_what_the_library_says() {
    let shared: Vec<_> = plants().into_iter().filter(|plant| !plant.is_alone()).take(4).collect();
    let story = Story::new(7, &shared, true);
    let sandbox = Sandbox::new();
    sandbox.file("spanlint.toml", story.land.config());
    sandbox.file("recording.jsonl", story.recording());
    let ran = sandbox.run(&["check", "--format", "json", "recording.jsonl"]);
    let judged = judge(&story.recording(), &story.land.config());
    let said: Vec<_> = judged.findings.iter().map(|said| (said.rule.clone(), said.services.join(","))).collect();
    assert_eq!(findings(&ran.report(), "note"), said);
    assert_eq!(ran.code, i32::from(judged.findings.iter().any(|said| said.is_loud)));
}

#[test]
fn the_order_of_files_lines_and_threads_changes_no_byte() {
    let story =
        Story::new(3, &plants().into_iter().filter(|plant| !plant.is_alone()).take(6).collect::<Vec<_>>(), true);
    let (recording, config) = (story.recording(), story.land.config());
    let expected = judge(&recording, &config).report;
    let sandbox = Sandbox::new();
    let mut lines: Vec<&str> = recording.lines().collect();
    let mut random = Random::new(11);
    for parts in [1, 2, 7] {
        random.shuffle(&mut lines);
        let parts = lines.chunks(lines.len().div_ceil(parts)).map(|lines| lines.join("\n")).enumerate();
        let mut files: Vec<PathBuf> = parts.map(|(part, text)| sandbox.file(&format!("{part}.jsonl"), text)).collect();
        for readers in [1, 2, 7] {
            random.shuffle(&mut files);
            let report = judge_files(&files, NonZero::new(readers).expect("some"), &config).report;
            assert!(report == expected, "{} files and {readers} threads give another report", files.len());
        }
    }
}

impl Planted {
    /// Whether a finding is the one of this fault, or of a rule that explains it.
    fn is_said_by(&self, rule: &str, said: &Said) -> bool {
        let names = said.rule == rule || said.absorbs.iter().any(|absorbed| absorbed == rule);
        names && self.services.iter().all(|service| said.services.contains(service)) && self.holds(said)
    }

    /// Whether a finding is only about services of this.
    fn holds(&self, said: &Said) -> bool {
        said.services.iter().all(|service| self.services.contains(service) || self.beside.contains(service))
    }

    /// Whether any of these services is of this.
    fn touches(&self, services: &[String]) -> bool {
        services.iter().any(|service| self.services.contains(service))
    }

    /// Whether the catalogue leaves it open whether this is said.
    fn allows(&self, said: &Said) -> bool {
        let named = if said.is_loud { self.may } else { &[self.may, self.notes].concat() };
        named.contains(&said.rule.as_str()) && (self.touches(&said.services) || self.services.is_empty())
    }
}
