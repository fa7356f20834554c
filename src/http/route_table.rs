//! The methods of each path, for requests that match no route: 404, 405 with `Allow`, or the response to OPTIONS.

use std::collections::HashSet;

use actix_web::dev::ResourceDef;
use actix_web::http::{Method, header};
use actix_web::{HttpRequest, HttpResponse, web};

use crate::error::{Code, Error};

#[derive(Default)]
pub struct RouteTable {
    routes: Vec<(ResourceDef, Vec<String>)>,
    /// The paths without a parameter.
    literal_paths: HashSet<String>,
}

impl RouteTable {
    /// `routes` are path patterns such as `/orgs/{org_id}`, each with its methods in capitals.
    pub fn new<'a>(routes: impl Iterator<Item = (&'a str, Vec<String>)>) -> Self {
        let mut table = Self::default();
        for (path, methods) in routes {
            if !path.contains('{') {
                table.literal_paths.insert(path.to_owned());
            }
            table.routes.push((ResourceDef::new(path), methods));
        }
        table
    }

    pub(super) fn is_literal(&self, path: &str) -> bool {
        self.literal_paths.contains(path)
    }

    /// The `Allow` header of a path without parameters; `None` for any other path.
    pub(super) fn allow_literal(&self, path: &str) -> Option<String> {
        self.is_literal(path).then(|| self.allow(path)).flatten()
    }

    fn allow(&self, path: &str) -> Option<String> {
        // `/api-keys/current` also matches `/api-keys/{api_key_id}`; its methods are those of the literal path only.
        let is_literal = self.is_literal(path);
        let mut methods: Vec<&str> = self
            .routes
            .iter()
            .filter(|(route, _)| {
                if is_literal {
                    route.pattern() == Some(path)
                } else {
                    route.is_match(path)
                }
            })
            .flat_map(|(_, methods)| methods.iter().map(String::as_str))
            .collect();
        if methods.is_empty() {
            return None;
        }
        if methods.contains(&"GET") {
            methods.push("HEAD");
        }
        methods.push("OPTIONS");
        methods.sort_unstable();
        methods.dedup();
        Some(methods.join(", "))
    }
}

/// The default service, for requests that match no route: 404, 405 with `Allow`, or for OPTIONS 204 with `Allow`.
///
/// # Errors
/// `not_found`, `method_not_allowed`.
pub async fn fallback(request: HttpRequest, routes: web::Data<RouteTable>) -> Result<HttpResponse, Error> {
    let methods = routes.allow(request.path()).ok_or_else(Error::not_found)?;
    if request.method() == Method::OPTIONS {
        return Ok(HttpResponse::NoContent()
            .insert_header((header::ALLOW, methods))
            .finish());
    }
    Err(Error::new(Code::MethodNotAllowed).allow(methods))
}
