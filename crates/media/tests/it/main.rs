//! The role with its workers, asked as browsers ask.
