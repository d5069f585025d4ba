//! Rules over a call graph, their verdicts, and the reports made of them.
