//! Codes: the WHO's API, as a server on loopback answers for it, and order files of ICD-10-CM in the layout of CMS. All texts are
//! made up.

mod contract;
mod faults;
mod order;
mod resumed;
mod walk;

use crate::web::http::Server;
use crate::web::who::{Tree, Who};
use rcm_connectors::icd::{self, Client, Options};
use rcm_core::Secret;
use std::time::Duration;

const ID: &str = "a client:id";
const SECRET: &str = "canary/secret+77&";

fn options(server: &Server) -> Options {
    Options {
        url: server.base(),
        token_url: format!("{}/connect/token", server.base()),
        client: Some(Client { id: ID.to_owned(), secret: Secret::new(SECRET) }),
        authorities: None,
        per_second: None,
        patience: Duration::from_secs(2),
        plain: false,
    }
}

fn source(options: Options) -> icd::Who {
    icd::Who::new(options).unwrap()
}

fn service(tree: Tree) -> (Who, Server) {
    let who = Who::new(tree, ID, SECRET);
    let server = Server::plain(who.handler());
    (who, server)
}
