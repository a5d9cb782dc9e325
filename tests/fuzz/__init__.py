"""Fuzzing: `make fuzz` feeds every reader of foreign bytes with what a coverage-guided mutator makes of its corpus.

A target states what must hold for any input (`targets`). An input whose first byte is even is taken as it is; one
whose first byte is odd is a row of choices from which a grammar builds something deep (`choices`). What broke a target
once stays in `corpus/` and is replayed by every run of the tests.
"""
