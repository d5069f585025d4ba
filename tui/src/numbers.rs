//! Numbers as people read them, each in few cells.

/// `12,345`.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A thing and how many of it: `1 trace`, `12 traces`.
pub(crate) fn counted(value: u64, thing: &str) -> String {
    format!("{} {thing}{}", count(value), if value == 1 { "" } else { "s" })
}

/// `0.4/s`, `12/s`, `1.2k/s`.
pub(crate) fn rate(per_second: f64) -> String {
    format!("{}/s", short(per_second))
}

/// `820µs`, `8.1ms`, `120ms`, `1.2s`.
pub(crate) fn duration(nanoseconds: u64) -> String {
    let value = nanoseconds as f64;
    match nanoseconds {
        0..1_000 => format!("{nanoseconds}ns"),
        1_000..999_500 => format!("{:.0}µs", value / 1e3),
        999_500..9_950_000 => format!("{:.1}ms", value / 1e6),
        9_950_000..999_500_000 => format!("{:.0}ms", value / 1e6),
        999_500_000..99_500_000_000 => format!("{:.1}s", value / 1e9),
        _ => format!("{:.0}s", value / 1e9),
    }
}

/// `0%`, `<1%`, `3%`; `-` of nothing.
pub(crate) fn share(part: u64, whole: u64) -> String {
    match (part, whole) {
        (_, 0) => "-".to_owned(),
        (0, _) => "0%".to_owned(),
        _ if part * 100 < whole => "<1%".to_owned(),
        _ => format!("{:.0}%", part as f64 * 100.0 / whole as f64),
    }
}

/// A measured value with its unit, as evidence has it: `7 calls`, `0.95 share`, `12.5 ms`.
pub(crate) fn measured(value: f64, unit: &str) -> String {
    let text = if value.fract() == 0.0 && value.abs() < 1e15 {
        count(value.abs() as u64)
    } else {
        format!("{:.*}", if value.abs() < 1.0 { 2 } else { 1 }, value.abs())
    };
    let sign = if value < 0.0 { "-" } else { "" };
    format!("{sign}{text} {unit}").trim_end().to_owned()
}

/// The time of day, in UTC: `12:00:01`.
pub(crate) fn time_of_day(unix_ns: u64) -> String {
    let seconds = unix_ns / 1_000_000_000;
    format!("{:02}:{:02}:{:02}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
}

/// Bytes in powers of 1024: `1.5 MiB`.
pub(crate) fn bytes(value: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = value.max(0.0);
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{} {}", short(value), UNITS[unit])
}

/// A bar for each value, the greatest the highest.
pub(crate) fn bars(values: &[f64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let greatest = values.iter().copied().fold(0.0, f64::max);
    let bar =
        |value: &f64| if greatest > 0.0 { ((value / greatest * 7.0).round().max(0.0) as usize).min(7) } else { 0 };
    values.iter().map(|value| BARS[bar(value)]).collect()
}

fn short(value: f64) -> String {
    match value {
        value if value <= 0.0 => "0".to_owned(),
        value if value < 0.095 => format!("{value:.2}"),
        value if value < 9.95 => format!("{value:.1}"),
        value if value < 999.5 => format!("{value:.0}"),
        value if value < 9_950.0 => format!("{:.1}k", value / 1e3),
        value if value < 999_500.0 => format!("{:.0}k", value / 1e3),
        value => format!("{:.1}M", value / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_few_cells() {
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(
            [0.0, 0.05, 0.44, 9.96, 1_234.0, 20_000.0].map(rate).join(" "),
            "0/s 0.05/s 0.4/s 10/s 1.2k/s 20k/s"
        );
        let durations = [12, 820_000, 999_999, 8_100_000, 120_000_000, 1_230_000_000, 120_000_000_000];
        assert_eq!(durations.map(duration).join(" "), "12ns 820µs 1.0ms 8.1ms 120ms 1.2s 120s");
        assert_eq!([share(0, 0), share(0, 9), share(1, 1000), share(1, 3)].join(" "), "- 0% <1% 33%");
        assert_eq!(measured(7.0, "calls"), "7 calls");
        assert_eq!(measured(0.953, "share"), "0.95 share");
        assert_eq!(counted(1, "span"), "1 span");
        assert_eq!(time_of_day(43_201_000_000_000), "12:00:01");
    }
}
