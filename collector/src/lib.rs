//! Receives traces, assembles them and publishes the live call graph.
