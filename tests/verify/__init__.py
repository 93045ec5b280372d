"""The numbers against what this project did not write: make verify."""
