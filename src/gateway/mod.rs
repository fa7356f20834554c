//! What gateways and resource servers ask: the public keys, where to learn about the service, and whether a credential is
//! good.

mod routes;

pub use routes::root_router;
