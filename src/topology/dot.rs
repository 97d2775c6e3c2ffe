//! A graph as Graphviz DOT.
