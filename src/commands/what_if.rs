//! `spanlint what-if`: a recording judged as it is, and as it would be after a change of the architecture.

use anyhow::bail;
use spanlint_analyzer::Mode;
use spanlint_analyzer::comparison::{Comparison, Judged};
use spanlint_analyzer::nearest::nearest;
use spanlint_graph::span::ServiceKey;
use spanlint_graph::what_if::Change;
use spanlint_graph::{CallGraph, Name, Vocabulary};

use crate::cli::{AnswerFormat, WhatIfArguments, WhatIfChange};
use crate::failure::Ending;
use crate::judge::Judge;
use crate::output;
use crate::recording::{self, Recording};

pub(crate) fn run(arguments: &WhatIfArguments) -> anyhow::Result<Ending> {
    let (files, options) = match &arguments.change {
        WhatIfChange::Merge { files, options, .. } | WhatIfChange::Fold { files, options, .. } => (files, options),
    };
    let judge = Judge::load(&options.judge)?;
    let mut recording = Recording::read(files, judge.reading())?;
    let before = recording.graph(options.environment.as_deref())?;
    if before.counts.traces == 0 || !recording.has_traces() {
        bail!("a change is computed from traces, and snapshots have none: record to .jsonl or .pb instead");
    }
    let (change, sentence) = change(&arguments.change, &before, recording.vocabulary_mut())?;
    let (facts, vocabulary) = recording.changed(change);
    let after = recording::graph(&facts, vocabulary, Some(&before.environment))?;
    let analyses = [&before, &after].map(|graph| judge.judge(graph, Mode::Check));
    let comparison = Comparison::of(
        sentence,
        assumptions(change),
        Judged { graph: &before, analysis: &analyses[0] },
        Judged { graph: &after, analysis: &analyses[1] },
    );
    output::data(&match options.format {
        AnswerFormat::Json => comparison.to_json(),
        AnswerFormat::Text => comparison.to_text(),
    })?;
    Ok(Ending::Clean)
}

/// The change, with the services that it names looked up, and what it is called.
fn change(wanted: &WhatIfChange, graph: &CallGraph, vocabulary: &mut Vocabulary) -> anyhow::Result<(Change, String)> {
    Ok(match wanted {
        WhatIfChange::Merge { first, second, .. } => {
            let (one, other) = (service(graph, first)?, service(graph, second)?);
            if one == other {
                bail!("`{first}` and `{second}` are the same service already");
            }
            let merged = ServiceKey { name: vocabulary.names.intern(&format!("{first}+{second}")), ..one };
            let change = Change::Merge { first: one, second: other, merged };
            (change, format!("{first} and {second} were one service"))
        }
        WhatIfChange::Fold { calls, .. } => {
            let Some((caller, callee)) = calls.split_once("->") else {
                bail!("`{calls}` names no calls; write the two services as in \"cart->stock\"");
            };
            let (caller, callee) = (caller.trim(), callee.trim());
            let change = Change::Fold { caller: service(graph, caller)?, callee: service(graph, callee)? };
            (change, format!("{caller} asked {callee} once a request for what it asks again and again"))
        }
    })
}

/// The service that the graph shows under this name.
fn service(graph: &CallGraph, name: &str) -> anyhow::Result<ServiceKey> {
    let services = || graph.nodes.iter().filter_map(|node| Some((node, node.service.as_ref()?)));
    if let Some((_, found)) = services().find(|(node, service)| node.name == name || service.name == name) {
        return Ok(ServiceKey { namespace: Name::of(&found.namespace), name: Name::of(&found.name) });
    }
    let known: Vec<&str> = services().map(|(node, _)| node.name.as_str()).collect();
    let nearest = nearest(name, known.iter().copied());
    let hint = nearest.map_or(String::new(), |(_, nearest)| format!("; did you mean `{nearest}`?"));
    bail!("no service `{name}` in the recording, which has {}{hint}", known.join(", "))
}

fn assumptions(change: Change) -> Vec<String> {
    let own = match change {
        Change::Merge { .. } => {
            "Calls between the two take no time of their own within one process; what each of them does takes as long as before."
        }
        Change::Fold { .. } => {
            "One call for all takes as long as the longest of them, and its callee does as much as for that one."
        }
    };
    let shared = [
        "What waited for something that becomes shorter starts earlier; what ran side by side still does.",
        "Load, memory, locks and what the change costs to make are not in it.",
    ];
    [own].into_iter().chain(shared).map(str::to_owned).collect()
}
