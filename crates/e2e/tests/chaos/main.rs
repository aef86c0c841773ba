//! Services as processes of their own, killed again and again: nothing accepted is lost, nothing
//! comes twice.

mod fleet;
mod kills;
