//! Black-box tests: end to end, browser, faults, contract, load.
