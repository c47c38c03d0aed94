//! Answers which sessions started where, and which are a user's last complete ones.
