"""A month as a person reads it, keeps it and hands it out: HTML, PDF and workbooks, made from the frozen files."""
