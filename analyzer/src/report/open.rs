//! What is undecided, in few lines: what the input as a whole lacks, and for each rule the subjects that lack the same.
//!
//! Nothing is left out without being counted; each subject by itself is in the JSON report.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::finding::Undecided;
use crate::wording;

/// The most lines about the subjects of one rule.
const MAX_LINES_PER_RULE: usize = 2;
/// The most services of one subject that a line with several subjects spells out.
const MAX_SERVICES_SPELLED: usize = 3;

/// The lines, and whether they name every subject.
pub(super) fn lines(undecided: &[Undecided]) -> (Vec<String>, bool) {
    let (of_input, of_subjects): (Vec<_>, Vec<_>) = undecided.iter().partition(|open| open.services.is_empty());
    // Rules that lack the same of the whole input share a line.
    let mut rules: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for open in of_input {
        rules.entry(&open.reason).or_default().push(open.rule);
    }
    let mut lines: Vec<_> =
        rules.into_iter().map(|(reason, rules)| format!("{}: {reason}", rules.join(", "))).collect();
    let mut is_whole = true;
    for of_rule in of_subjects.chunk_by(|left, right| left.rule == right.rule) {
        let rule = of_rule[0].rule;
        let groups = grouped(of_rule);
        is_whole &= groups.iter().all(|group| group.len() <= wording::MAX_NAMES_SPELLED);
        let (told, untold) = groups.split_at(groups.len().min(MAX_LINES_PER_RULE));
        lines.extend(told.iter().map(|group| format!("{rule} for {}: {}", subjects(group), reason(group))));
        let untold: usize = untold.iter().map(Vec::len).sum();
        if untold > 0 {
            is_whole = false;
            lines.push(format!("{rule} for {untold} more: for want of much the same"));
        }
    }
    (lines, is_whole)
}

/// Subjects whose reasons differ in nothing but numbers, the most first.
fn grouped<'a>(of_rule: &[&'a Undecided]) -> Vec<Vec<&'a Undecided>> {
    let mut groups: BTreeMap<Vec<&str>, Vec<&Undecided>> = BTreeMap::new();
    for open in of_rule {
        groups.entry(shape(&open.reason)).or_default().push(open);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|group| Reverse(group.len()));
    groups
}

/// The words of a reason without its numbers, and without the plural that depends on them.
fn shape<'a>(reason: &'a str) -> Vec<&'a str> {
    let mut is_counted = false;
    let mut word_of = |word: &'a str| {
        let was_counted = std::mem::replace(&mut is_counted, number(word).is_some());
        if is_counted {
            return "";
        }
        let noun = word.trim_end_matches(',');
        if was_counted { noun.strip_suffix("ies").or(noun.strip_suffix(['s', 'y'])).unwrap_or(noun) } else { word }
    };
    reason.split(' ').map(&mut word_of).collect()
}

fn number(word: &str) -> Option<f64> {
    word.parse().ok().filter(|number: &f64| number.is_finite())
}

fn subjects(group: &[&Undecided]) -> String {
    match group {
        [only] => wording::list(&only.services),
        several => wording::list(&several.iter().map(|open| together(&open.services)).collect::<Vec<_>>()),
    }
}

/// The services of one subject among others.
fn together(services: &[String]) -> String {
    if services.len() <= MAX_SERVICES_SPELLED {
        return services.join(" with ");
    }
    let (spelled, more) = services.split_at(MAX_SERVICES_SPELLED - 1);
    format!("{} with {} more", spelled.join(" with "), more.len())
}

/// The reason of a group: `2 to 18 calls seen, 100 needed`.
fn reason(group: &[&Undecided]) -> String {
    let reasons: Vec<Vec<&str>> = group.iter().map(|open| open.reason.split(' ').collect()).collect();
    let word = |place: usize| {
        let mut words: Vec<&str> = reasons.iter().map(|reason| reason[place]).collect();
        if words.iter().all(|word| number(word).is_some()) {
            words.sort_by(|left, right| number(left).unwrap_or_default().total_cmp(&number(right).unwrap_or_default()));
            words.dedup();
            return match words.as_slice() {
                [least, .., most] => format!("{least} to {most}"),
                only => only.concat(),
            };
        }
        // The plural, where one of them has it.
        words.into_iter().max_by_key(|word| word.len()).unwrap_or_default().to_owned()
    };
    (0..reasons[0].len()).map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(undecided: &[(&'static str, &str, &str)], expected: &[&str], is_whole: bool) {
        let services = |names: &str| names.split_whitespace().map(str::to_owned).collect();
        let open = |&(rule, names, reason): &(&'static str, &str, &str)| Undecided {
            rule,
            services: services(names),
            reason: reason.to_owned(),
        };
        let (lines, told) = lines(&undecided.iter().map(open).collect::<Vec<_>>());
        assert_eq!(
            (lines.as_slice(), told),
            (&expected.iter().map(ToString::to_string).collect::<Vec<_>>()[..], is_whole)
        );
    }

    #[test]
    fn rules_that_lack_the_same_share_a_line() {
        let reason = "3 services seen, 6 needed";
        check(
            &[("god-service", "", reason), ("hub-service", "", reason)],
            &["god-service, hub-service: 3 services seen, 6 needed"],
            true,
        );
    }

    #[test]
    fn subjects_that_lack_more_or_less_of_the_same_share_a_line() {
        let calls = |calls| format!("{}, 100 needed", wording::count(calls, "call"));
        let (few, more, one) = (calls(9), calls(18), calls(1));
        check(
            &[("nano-service", "cart", &few), ("nano-service", "mail", &more), ("nano-service", "stock", &one)],
            &["nano-service for cart, mail and stock: 1 to 18 calls, 100 needed"],
            true,
        );
        check(&[("nano-service", "cart", &one)], &["nano-service for cart: 1 call, 100 needed"], true);
    }

    #[test]
    fn subjects_of_several_services_stay_apart() {
        let reason = "2 requests seen, 30 needed";
        let subjects = ["a b", "c d", "e f g h", "i j", "k l"];
        check(
            &subjects.map(|names| ("retry-storm", names, reason)),
            &["retry-storm for a with b, c with d, e with f with 2 more and 2 more: 2 requests seen, 30 needed"],
            false,
        );
    }

    #[test]
    fn what_is_left_out_is_counted() {
        let reasons = ["a to b: too few", "c to d: too few", "e to f: too few", "g to h: too few"];
        check(
            &reasons.map(|reason| ("cyclic-dependency", "a b", reason)),
            &[
                "cyclic-dependency for a and b: a to b: too few",
                "cyclic-dependency for a and b: c to d: too few",
                "cyclic-dependency for 2 more: for want of much the same",
            ],
            false,
        );
    }
}
