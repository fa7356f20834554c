//! What gateways and resource servers ask.

mod forward;
mod introspect;
mod programs;
