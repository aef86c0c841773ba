//! User stories over the whole system: a real `commandcenter up`, its commands, its REST API.

mod feeds;
mod first_start;
mod instance;
mod python_client;
