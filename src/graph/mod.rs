//! Workflow text to a validated task graph.
//!
//! A `Graph` is correct from the moment it exists; the only room that touches petgraph.
