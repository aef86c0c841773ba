//! User stories over the whole system: a real `commandcenter up`, its commands, its REST API.

mod browser;
mod cranfield;
mod feeds;
mod first_start;
mod instance;
mod pages;
mod python_client;
mod stacks;
