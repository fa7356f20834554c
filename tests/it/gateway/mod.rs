//! The endpoints for gateways and resource servers, and the gateway configurations in `docs/gateways`.

mod forward;
mod introspect;
mod programs;
