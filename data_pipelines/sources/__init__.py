"""Where film comes from: a module a source."""
