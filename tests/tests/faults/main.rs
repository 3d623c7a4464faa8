//! Processes killed, words lost, ports taken: black box.
