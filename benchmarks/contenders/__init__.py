"""The programs that are compared, each with functions of the same names."""
