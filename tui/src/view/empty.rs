//! The screen before the first span: how to send some.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::lines::Row;
use super::row_of;
use crate::numbers::counted;
use crate::state::State;
use crate::text;
use crate::theme::Theme;

/// Draws the screen.
pub(super) fn draw(state: &State, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let status = &state.live.status;
    let room = usize::from(area.width).saturating_sub(4).min(76);
    let mut lines: Vec<(String, Style)> = Vec::new();
    let mut say = |text: &str, style: Style| lines.extend(text::wrap(text, room).into_iter().map(|line| (line, style)));
    if let Some(first) = status.endpoints.first() {
        say("Waiting for spans", theme.heading());
        say("", theme.text());
        lines.push((String::new(), theme.text()));
        let mut say = |text: &str, style: Style| lines.extend(text::wrap(text, room).into_iter().map(|l| (l, style)));
        say("Start your services with", theme.text());
        lines.push((String::new(), theme.text()));
        lines.push((format!("  OTEL_EXPORTER_OTLP_ENDPOINT=http://{}", first.address), theme.strong()));
        lines.push((String::new(), theme.text()));
        let mut say = |text: &str, style: Style| lines.extend(text::wrap(text, room).into_iter().map(|l| (l, style)));
        say("Every OTLP port takes gRPC and HTTP (protobuf and JSON), so the protocol need not be set.", theme.faint());
        lines.push((String::new(), theme.text()));
        for endpoint in &status.endpoints {
            lines.push((format!("  {}  {}", text::left(&endpoint.address, 22), endpoint.protocols), theme.text()));
        }
    } else {
        say("No spans in these recordings", theme.heading());
    }
    lines.push((String::new(), theme.text()));
    let received = format!(
        "Received so far: {}, {} not settled yet.",
        counted(status.spans, "span"),
        counted(status.pending_traces, "trace")
    );
    lines.push((received, theme.text()));
    if status.rejected > 0 {
        lines.push((
            format!("Rejected: {}. The sender was told why.", counted(status.rejected, "span")),
            theme.notice(),
        ));
    }
    let height = usize::from(area.height);
    let top = height.saturating_sub(lines.len()) / 3;
    let left = Rect { x: area.x + 2, width: area.width.saturating_sub(4), ..area };
    for (index, (line, style)) in lines.into_iter().take(height).enumerate() {
        let area = row_of(left, (top + index).min(height - 1));
        Row::new(usize::from(area.width)).add(&line, style).draw(area, None, buffer);
    }
}
