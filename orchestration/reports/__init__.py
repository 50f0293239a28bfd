"""Everything that only reads: statements, explanations, status, exports, comparisons, rejected rows."""
